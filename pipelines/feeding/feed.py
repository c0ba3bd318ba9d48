"""Streaming a split through Petastorm as batches. Nothing else imports Petastorm."""

import copy
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray
from torch import Tensor

from afm_core.errors import DatasetError
from afm_core.models import EncodedBatch
from pipelines.dataset import Dataset
from pipelines.feeding.shard_plan import FileSlice, ShardPlan

# Petastorm uses interfaces of pyarrow that later versions lack; the pins hold it to one that has them.
warnings.filterwarnings("ignore", category=FutureWarning, module=r"petastorm\b")
from petastorm import make_batch_reader  # noqa: E402

_LABEL, _ROW_KEY, _WEIGHT = "label", "row_key", "weight"
_ROW_GROUPS_AHEAD = 4


@dataclass(frozen=True)
class Batch:
    """Rows of one step on one rank."""

    encoded: EncodedBatch
    label: Tensor
    """(B,) float32."""
    weight: Tensor | None
    """(B,) float32, where the dataset has weights."""
    row_key: Tensor | None
    """(B,) int64, where the feed was asked for it."""


class _Rows(NamedTuple):
    """N rows as arrays of the same length."""

    ids: NDArray[np.int64]
    x: NDArray[np.float32]
    label: NDArray[np.float32]
    weight: NDArray[np.float32]
    row_key: NDArray[np.int64]

    def take(self, rows: slice | NDArray[np.int64]) -> "_Rows":
        return _Rows(*(column[rows] if len(column) else column for column in self))  # type: ignore[arg-type]

    @staticmethod
    def join(pieces: list["_Rows"]) -> "_Rows":
        return pieces[0] if len(pieces) == 1 else _Rows(*map(np.concatenate, zip(*pieces, strict=True)))


class Feed:
    """One rank's rows of one split. Each epoch is a fresh reader: a Petastorm reader cannot start again."""

    def __init__(
        self,
        dataset: Dataset,
        split: str,
        plan: ShardPlan,
        seed: int | None,
        with_row_keys: bool = False,
        together: bool = False,
    ) -> None:
        """Check every file's footer against the manifest.

        Args:
            seed: of the permutations of each epoch; None reads the rows as they stand.
            together: permute each positive and the negatives after it as one.

        Raises:
            DatasetError: a file is missing, unreadable, or not one row group of the rows that the manifest says.
        """
        self.plan, self._map, self._weighted = plan, dataset.feature_map, dataset.manifest.weighted
        self.x_of_slots = self._map.x_of_slots
        self._files, self._seed, self._with_row_keys = dataset.files(split), seed, with_row_keys
        self._together = together
        for number, file in enumerate(self._files):
            _check_footer(file, plan.file_rows(number))

    def epoch(self, epoch: int, first_step: int = 0) -> Iterator[Batch]:
        """`plan.steps` batches, or those from `first_step` on.

        The same (seed, epoch, rank, size) gives the same batches. Files before the first step's are not read.
        """
        slices = self.plan.slices(self._file_order(epoch), first_step)
        size, step = self.plan.local_batch, first_step
        pending: list[_Rows] = []
        waiting = 0
        for rows in self._read(slices, epoch):
            pending.append(rows)
            waiting += len(rows.label)
            if waiting >= size:
                block, at = _Rows.join(pending), 0
                while waiting >= size:
                    yield self._batch(block.take(slice(at, at + size)))
                    at, waiting, step = at + size, waiting - size, step + 1
                pending = [block.take(slice(at, None))]
        if step < self.plan.steps:
            yield self._batch(_Rows.join(pending or [self._empty()]))

    def with_row_keys(self) -> "Feed":
        """The same rows in the same order, with their keys."""
        found = copy.copy(self)
        found._with_row_keys = True
        return found

    def _file_order(self, epoch: int) -> list[int]:
        files = self.plan.n_files
        return list(range(files)) if self._seed is None else [int(f) for f in self._random(epoch).permutation(files)]

    def _random(self, epoch: int, *key: int) -> np.random.Generator:
        return np.random.default_rng(np.random.SeedSequence([self._seed or 0, epoch, *key]))

    def _read(self, slices: list[FileSlice], epoch: int) -> Iterator[_Rows]:
        """The rows of each slice, in the order of the epoch."""
        if not slices:
            return
        urls = [self._files[piece.file].absolute().as_uri() for piece in slices]
        columns = [*self._map.id_columns, *self._map.x_columns, _LABEL]
        columns += [*([_WEIGHT] if self._weighted else []), *([_ROW_KEY] if self._with_row_keys else [])]
        reader = make_batch_reader(
            urls,
            schema_fields=columns,
            shuffle_row_groups=False,
            num_epochs=1,
            reader_pool_type="thread",
            workers_count=1,  # with more, row groups arrive in no fixed order
            results_queue_size=_ROW_GROUPS_AHEAD,
            hdfs_driver="libhdfs",
        )
        with reader:
            for piece, group in zip(slices, reader, strict=True):
                rows = self._rows(group)
                found = len(rows.label)
                assert found == piece.rows, f"{self._files[piece.file]}: {found} rows, {piece.rows} expected"
                if self._seed is None:
                    yield rows.take(slice(piece.start, piece.stop))
                else:
                    order = self._permutation(rows, self._random(epoch, 1 + piece.file))
                    yield rows.take(order[piece.start : piece.stop])

    def _permutation(self, rows: _Rows, random: np.random.Generator) -> NDArray[np.int64]:
        if not self._together:
            return random.permutation(len(rows.label))
        group = np.cumsum(rows.label > 0)
        return np.argsort(random.permutation(group[-1] + 1)[group], kind="stable")

    def _rows(self, group: object) -> _Rows:
        label = getattr(group, _LABEL).astype(np.float32)
        rows = self._empty(len(label))
        for at, name in enumerate(self._map.id_columns):
            rows.ids[:, at] = getattr(group, name)
        for at, name in enumerate(self._map.x_columns):
            rows.x[:, at] = getattr(group, name)
        if self._weighted:
            rows.weight[:] = getattr(group, _WEIGHT)
        if self._with_row_keys:
            rows.row_key[:] = getattr(group, _ROW_KEY)
        return rows._replace(label=label)

    def _empty(self, rows: int = 0) -> _Rows:
        return _Rows(
            np.empty((rows, len(self._map.id_columns)), dtype=np.int64),
            np.empty((rows, len(self._map.x_columns)), dtype=np.float32),
            np.empty(rows, dtype=np.float32),
            np.empty(rows if self._weighted else 0, dtype=np.float32),
            np.empty(rows if self._with_row_keys else 0, dtype=np.int64),
        )

    def _batch(self, rows: _Rows) -> Batch:
        ids, x = torch.from_numpy(rows.ids), torch.from_numpy(rows.x)
        return Batch(
            EncodedBatch.of_columns(ids, x, self.x_of_slots),
            torch.from_numpy(rows.label),
            torch.from_numpy(rows.weight) if self._weighted else None,
            torch.from_numpy(rows.row_key) if self._with_row_keys else None,
        )


def _check_footer(file: Path, rows: int) -> None:
    try:
        footer = pq.read_metadata(file)
    except (OSError, pa.ArrowInvalid) as error:
        raise DatasetError(f"{file}: not a whole Parquet file; prepare the dataset again") from error
    if (footer.num_row_groups, footer.num_rows) != (1, rows):
        raise DatasetError(
            f"{file}: {footer.num_rows} rows in {footer.num_row_groups} row groups, the manifest says {rows} in one; "
            "prepare the dataset again"
        )
