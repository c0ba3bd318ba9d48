"""Whether a column that is empty all night is a fault of the logs or chance."""

import pytest

from pipelines.logs.checking import is_chance


@pytest.mark.parametrize(
    ("usual", "rows", "expected"),
    [
        (0.0, 1, True),  # a night of one row says nothing of a column
        (0.0, 19, True),
        (0.0, 20, False),  # renamed or lost
        (0.3, 20, False),
        (0.99, 200, True),  # nearly always empty, so another night may be so altogether
        (0.99, 2_000, False),
        (1.0, 10**9, True),  # only rare values, which the share counts as missing
    ],
)
def test_many_rows_without_a_value_that_is_usually_there_are_no_chance(usual: float, rows: int, expected: bool) -> None:
    assert is_chance(usual, rows) is expected
