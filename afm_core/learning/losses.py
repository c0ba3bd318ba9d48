"""Training losses."""

from torch import Tensor


def squared_error(output: Tensor, label: Tensor, weight: Tensor | None = None) -> Tensor:
    """Sum, not mean, of w (y - label)^2 over the rows: a scalar. Sums add up exactly over ranks and short batches."""
    squares = (output - label).square()
    return (squares if weight is None else weight * squares).sum()
