"""Rows of a dataset as arrays, between the columns of its files and the batches of a model."""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from afm_core.models import EncodedBatch
from pipelines.dataset import Dataset
from pipelines.feeding.batch import Batch

LABEL, ROW_KEY, WEIGHT = "label", "row_key", "weight"


class Rows(NamedTuple):
    """N rows as arrays of the same length; an array of columns that are not read has none."""

    ids: NDArray[np.int32]
    x: NDArray[np.float32]
    label: NDArray[np.float32]
    weight: NDArray[np.float32]
    row_key: NDArray[np.int64]

    def take(self, rows: slice) -> "Rows":
        """The rows of a slice, without a copy."""
        return Rows(*(column[rows] if len(column) else column for column in self))  # type: ignore[arg-type]

    def gather(self, rows: NDArray[np.int64]) -> "Rows":
        """The rows at these positions."""
        return Rows(*(column.take(rows, axis=0) if len(column) else column for column in self))  # type: ignore[arg-type]

    @staticmethod
    def join(pieces: list["Rows"]) -> "Rows":
        """One after another."""
        return pieces[0] if len(pieces) == 1 else Rows(*map(np.concatenate, zip(*pieces, strict=True)))


class RowLayout:
    """Which columns of a dataset are read, and how they become rows and batches."""

    def __init__(self, dataset: Dataset, with_row_keys: bool = False) -> None:
        self._map, self._weighted = dataset.feature_map, dataset.manifest.weighted
        self._with_row_keys = with_row_keys

    @property
    def columns(self) -> list[str]:
        """Names of the columns to read."""
        columns = [*self._map.id_columns, *self._map.x_columns, LABEL]
        return columns + [WEIGHT] * self._weighted + [ROW_KEY] * self._with_row_keys

    def rows(self, arrays: dict[str, NDArray[Any]]) -> Rows:
        """The rows of columns of the same length, (N,) each."""
        label = arrays[LABEL].astype(np.float32)
        rows = self.empty(len(label))
        for column, name in enumerate(self._map.id_columns):
            rows.ids[:, column] = arrays[name]
        for column, name in enumerate(self._map.x_columns):
            rows.x[:, column] = arrays[name]
        if self._weighted:
            rows.weight[:] = arrays[WEIGHT]
        if self._with_row_keys:
            rows.row_key[:] = arrays[ROW_KEY]
        return rows._replace(label=label)

    def empty(self, rows: int = 0) -> Rows:
        """Arrays for this number of rows, not filled."""
        return Rows(
            np.empty((rows, len(self._map.id_columns)), dtype=np.int32),
            np.empty((rows, len(self._map.x_columns)), dtype=np.float32),
            np.empty(rows, dtype=np.float32),
            np.empty(rows if self._weighted else 0, dtype=np.float32),
            np.empty(rows if self._with_row_keys else 0, dtype=np.int64),
        )

    def batch(self, rows: Rows) -> Batch:
        """The rows as tensors; ids become int64."""
        ids, x = torch.from_numpy(rows.ids).long(), torch.from_numpy(rows.x)
        return Batch(
            EncodedBatch.of_columns(ids, x, self._map.value_index),
            torch.from_numpy(rows.label),
            torch.from_numpy(rows.weight) if self._weighted else None,
            torch.from_numpy(rows.row_key) if self._with_row_keys else None,
        )


def cut(pieces: Iterable[Rows], size: int) -> Iterator[Rows]:
    """The same rows in the same order, `size` at a time; the last piece may be shorter, none is empty."""
    missing, pending = size, list[Rows]()
    for rows in pieces:
        start, n = 0, len(rows.label)
        while n - start >= missing:
            pending.append(rows.take(slice(start, start + missing)))
            yield Rows.join(pending)
            start, missing, pending = start + missing, size, []
        if start < n:
            pending.append(rows.take(slice(start, None)))
            missing -= n - start
    if pending:
        yield Rows.join(pending)
