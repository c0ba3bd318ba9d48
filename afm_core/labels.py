"""The two labels of the paper's experiments (section 4.1), which also bound every prediction."""

NEGATIVE, POSITIVE = -1.0, 1.0
