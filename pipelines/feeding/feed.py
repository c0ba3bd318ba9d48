"""Streaming a split through Petastorm as batches. Nothing else imports Petastorm."""

import copy
import warnings
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray

from afm_core.errors import DatasetError
from afm_core.models import EncodedBatch
from afm_core.storage.paths import open_for_reading, to_url
from pipelines.dataset import Dataset
from pipelines.feeding.batch import Batch
from pipelines.feeding.remote import petastorm_file_system
from pipelines.feeding.shard_plan import FileSlice, RowRanges, ShardPlan

# Petastorm uses interfaces of pyarrow that later versions lack; the pins hold it to one that has them.
warnings.filterwarnings("ignore", category=FutureWarning, module=r"petastorm\b")
from petastorm import make_batch_reader  # noqa: E402

_LABEL, _ROW_KEY, _WEIGHT = "label", "row_key", "weight"
_PREFETCHED_ROW_GROUPS = 4


class _Rows(NamedTuple):
    """N rows as arrays of the same length."""

    ids: NDArray[np.int32]
    x: NDArray[np.float32]
    label: NDArray[np.float32]
    weight: NDArray[np.float32]
    row_key: NDArray[np.int64]

    def take(self, rows: slice) -> "_Rows":
        return _Rows(*(column[rows] if len(column) else column for column in self))  # type: ignore[arg-type]

    def gather(self, rows: NDArray[np.int64]) -> "_Rows":
        return _Rows(*(column.take(rows, axis=0) if len(column) else column for column in self))  # type: ignore[arg-type]

    @staticmethod
    def join(pieces: list["_Rows"]) -> "_Rows":
        return pieces[0] if len(pieces) == 1 else _Rows(*map(np.concatenate, zip(*pieces, strict=True)))


class Feed:
    """One rank's rows of one split. Every epoch opens a new Petastorm reader, because a reader cannot be restarted."""

    def __init__(
        self,
        dataset: Dataset,
        split: str,
        plan: ShardPlan,
        seed: int | None,
        with_row_keys: bool = False,
        group_positives: bool = False,
        in_memory: bool = False,
    ) -> None:
        """Check every file's footer against the manifest.

        Args:
            seed: of the permutations of each epoch; None reads the rows in the order of the files.
            group_positives: permute each positive and the negatives after it as one unit.
            in_memory: keep the rows for later epochs; see `memory.bytes_needed`.

        Raises:
            DatasetError: a file is missing, unreadable, or not one row group with the number of rows in the manifest.
        """
        self.plan, self._map, self._weighted = plan, dataset.feature_map, dataset.manifest.weighted
        self.value_index = self._map.value_index
        self._files, self._seed, self._with_row_keys = dataset.files(split), seed, with_row_keys
        self._group_positives = group_positives
        self._cache: dict[int, _Rows] | None = {} if in_memory else None
        for number, file in enumerate(self._files):
            _check_footer(file, plan.file_rows(number))

    def epoch(self, epoch: int, remaining: RowRanges | None = None) -> Iterator[Batch]:
        """The batches of an epoch, or of its remaining rows; files without remaining rows are not read.

        The same (seed, epoch, rank, size) gives the same batches.
        """
        plan = self.plan.resume_at(remaining)
        slices = plan.slices(self._file_order(epoch))
        step, missing, pending = 0, plan.local_batch, list[_Rows]()
        for rows in self._read(slices, epoch):
            start, n = 0, len(rows.label)
            while n - start >= missing:
                pending.append(rows.take(slice(start, start + missing)))
                yield self._batch(_Rows.join(pending))
                start, step = start + missing, step + 1
                missing, pending = plan.local_batch, []
            if start < n:
                pending.append(rows.take(slice(start, None)))
                missing -= n - start
        if step < plan.steps:
            yield self._batch(_Rows.join(pending or [self._empty()]))

    @property
    def lookups(self) -> int:
        """Upper bound of the ids that a rank looks up in a step, padding included."""
        return self.plan.local_batch * len(self._map.id_columns)

    def with_row_keys(self) -> "Feed":
        """A feed of the same rows in the same order, with their row keys."""
        feed = copy.copy(self)
        feed._with_row_keys, feed._cache = True, None
        return feed

    def _file_order(self, epoch: int) -> list[int]:
        files = self.plan.n_files
        return list(range(files)) if self._seed is None else [int(f) for f in self._random(epoch).permutation(files)]

    def _random(self, epoch: int, *key: int) -> np.random.Generator:
        return np.random.default_rng(np.random.SeedSequence([self._seed or 0, epoch, *key]))

    def _read(self, slices: list[FileSlice], epoch: int) -> Iterator[_Rows]:
        """The rows of each slice, in the order of the epoch."""
        for piece, rows in zip(slices, self._whole_files(slices), strict=True):
            if self._seed is None:
                yield rows.take(slice(piece.start, piece.stop))
            else:
                order = self._permutation(rows, self._random(epoch, 1 + piece.file))
                yield rows.gather(order[piece.start : piece.stop])

    def _whole_files(self, slices: list[FileSlice]) -> Iterator[_Rows]:
        """The stored rows of the file of each slice. Slices of one file are adjacent, and the file is read once."""
        cache = self._cache if self._cache is not None else {}
        fresh = self._through_petastorm([file for file, _ in groupby(slices, _file_of) if file not in cache])
        for file, pieces in groupby(slices, _file_of):
            rows = cache[file] if file in cache else next(fresh)
            if self._cache is not None:
                self._cache[file] = rows
            for _ in pieces:
                yield rows

    def _through_petastorm(self, files: list[int]) -> Iterator[_Rows]:
        if not files:
            return
        columns = [*self._map.id_columns, *self._map.x_columns, _LABEL]
        columns += [*([_WEIGHT] if self._weighted else []), *([_ROW_KEY] if self._with_row_keys else [])]
        number = 0
        try:
            with make_batch_reader(
                [to_url(self._files[file]) for file in files],
                schema_fields=columns,
                shuffle_row_groups=False,
                num_epochs=1,
                reader_pool_type="thread",
                workers_count=1,  # with more, row groups arrive in no fixed order
                results_queue_size=_PREFETCHED_ROW_GROUPS,
                filesystem=petastorm_file_system(self._files[files[0]]),
            ) as reader:
                for number, (file, group) in enumerate(zip(files, reader, strict=True)):  # noqa: B007
                    rows = self._rows(group)
                    n_rows, expected = len(rows.label), self.plan.file_rows(file)
                    assert n_rows == expected, f"{self._files[file]}: {n_rows} rows, {expected} expected"
                    yield rows
        except (OSError, pa.ArrowException) as error:
            raise self._unreadable(files[number:], error) from error

    def _unreadable(self, unread: list[int], error: Exception) -> DatasetError:
        """An error that names the file at which reading stopped: the first unread one whose footer has changed."""
        for file in unread:
            try:
                _check_footer(self._files[file], self.plan.file_rows(file))
            except DatasetError as damage:
                return DatasetError(f"{damage}, then continue with --resume auto")
        return DatasetError(f"{self._files[unread[0]].parent}: cannot be read: {str(error).splitlines()[0]}")

    def _permutation(self, rows: _Rows, random: np.random.Generator) -> NDArray[np.int64]:
        if not self._group_positives:
            return random.permutation(len(rows.label))
        group = np.cumsum(rows.label > 0)
        return np.argsort(random.permutation(group[-1] + 1)[group], kind="stable")

    def _rows(self, group: object) -> _Rows:
        label = getattr(group, _LABEL).astype(np.float32)
        rows = self._empty(len(label))
        for column, name in enumerate(self._map.id_columns):
            rows.ids[:, column] = getattr(group, name)
        for column, name in enumerate(self._map.x_columns):
            rows.x[:, column] = getattr(group, name)
        if self._weighted:
            rows.weight[:] = getattr(group, _WEIGHT)
        if self._with_row_keys:
            rows.row_key[:] = getattr(group, _ROW_KEY)
        return rows._replace(label=label)

    def _empty(self, rows: int = 0) -> _Rows:
        return _Rows(
            np.empty((rows, len(self._map.id_columns)), dtype=np.int32),
            np.empty((rows, len(self._map.x_columns)), dtype=np.float32),
            np.empty(rows, dtype=np.float32),
            np.empty(rows if self._weighted else 0, dtype=np.float32),
            np.empty(rows if self._with_row_keys else 0, dtype=np.int64),
        )

    def _batch(self, rows: _Rows) -> Batch:
        ids, x = torch.from_numpy(rows.ids).long(), torch.from_numpy(rows.x)
        return Batch(
            EncodedBatch.of_columns(ids, x, self.value_index),
            torch.from_numpy(rows.label),
            torch.from_numpy(rows.weight) if self._weighted else None,
            torch.from_numpy(rows.row_key) if self._with_row_keys else None,
        )


def _file_of(piece: FileSlice) -> int:
    return piece.file


def _check_footer(file: Path, rows: int) -> None:
    try:
        with open_for_reading(file) as source:
            footer = pq.read_metadata(source)
    except (OSError, pa.ArrowInvalid) as error:
        raise DatasetError(f"{file}: not a complete Parquet file; prepare the dataset again") from error
    if (footer.num_row_groups, footer.num_rows) != (1, rows):
        raise DatasetError(
            f"{file}: {footer.num_rows} rows in {footer.num_row_groups} row groups, the manifest says {rows} in one; "
            "prepare the dataset again"
        )
