"""Simulated logs of twenty fields and any number of rows, as a folder of CSV files."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyarrow import csv

ITEMS, SESSIONS, CONTEXTS = 20_000, 5_000_000, 17
ROWS_A_USER = 20
CONTEXT_SIZES = np.geomspace(2, 1000, CONTEXTS).round().astype(int).tolist()
FIELDS = ("user", "item", "session", *[f"context_{at:02}" for at in range(CONTEXTS)])
RARE = ("user", "item", "session")
"""The fields whose values are many enough for a minimal count."""

_ROWS_PER_FILE = 250_000  # about 25 MB; a file is drawn whole, so this bounds memory
_EXPONENT = 1.1


def write_wide_logs(folder: Path, rows: int, seed: int = 1, fields: Sequence[str] = FIELDS) -> int:
    """Write `rows` logs below `folder` and return their bytes.

    Users and items have Zipf's popularity: the busiest user has about an eighth of all rows, the hardest case for what
    is done a user. Sessions and contexts are uniform. A file depends on the seed, its number and the rows only. Cost:
    memory of one file and of a number a user.
    """
    folder.mkdir(parents=True)
    users, items = _zipf(max(rows // ROWS_A_USER, 1)), _zipf(ITEMS)
    for number, first in enumerate(range(0, rows, _ROWS_PER_FILE)):
        table = _draw(min(_ROWS_PER_FILE, rows - first), users, items, np.random.default_rng([seed, number]))
        csv.write_csv(
            table.select(list(fields)), folder / f"part-{number:05d}.csv", csv.WriteOptions(quoting_style="none")
        )
    return sum(file.stat().st_size for file in folder.iterdir())


def _draw(rows: int, users: NDArray[np.float64], items: NDArray[np.float64], random: np.random.Generator) -> pa.Table:
    drawn = [
        np.searchsorted(users, random.random(rows)),
        np.searchsorted(items, random.random(rows)),
        *[random.integers(size, size=rows) for size in (SESSIONS, *CONTEXT_SIZES)],
    ]
    return pa.table({name: _text(name[0], numbers) for name, numbers in zip(FIELDS, drawn, strict=True)})


def _zipf(n: int) -> NDArray[np.float64]:
    """Cumulative shares of n values, the k-th of which is k ** -1.1 times as frequent as the first."""
    cumulated: NDArray[np.float64] = np.cumsum(np.arange(1, n + 1, dtype=np.float64) ** -_EXPONENT)
    cumulated /= cumulated[-1]
    return cumulated


def _text(prefix: str, numbers: NDArray[np.int64]) -> pa.Array:
    return pc.binary_join_element_wise(pa.scalar(prefix), pa.array(numbers).cast(pa.string()), "")
