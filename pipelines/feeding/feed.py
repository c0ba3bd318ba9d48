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
from pipelines.feeding.shard_plan import FileSlice, ShardPlan, Stretches

# Petastorm uses interfaces of pyarrow that later versions lack; the pins hold it to one that has them.
warnings.filterwarnings("ignore", category=FutureWarning, module=r"petastorm\b")
from petastorm import make_batch_reader  # noqa: E402

_LABEL, _ROW_KEY, _WEIGHT = "label", "row_key", "weight"
_ROW_GROUPS_AHEAD = 4


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
    """One rank's rows of one split. Each epoch is a fresh reader: a Petastorm reader cannot start again."""

    def __init__(
        self,
        dataset: Dataset,
        split: str,
        plan: ShardPlan,
        seed: int | None,
        with_row_keys: bool = False,
        together: bool = False,
        in_memory: bool = False,
    ) -> None:
        """Check every file's footer against the manifest.

        Args:
            seed: of the permutations of each epoch; None reads the rows as they stand.
            together: permute each positive and the negatives after it as one.
            in_memory: keep what was read for the epochs after; `memory.bytes_needed` says what that takes.

        Raises:
            DatasetError: a file is missing, unreadable, or not one row group of the rows that the manifest says.
        """
        self.plan, self._map, self._weighted = plan, dataset.feature_map, dataset.manifest.weighted
        self.value_index = self._map.value_index
        self._files, self._seed, self._with_row_keys = dataset.files(split), seed, with_row_keys
        self._together = together
        self._kept: dict[int, _Rows] | None = {} if in_memory else None
        for number, file in enumerate(self._files):
            _check_footer(file, plan.file_rows(number))

    def epoch(self, epoch: int, remaining: Stretches | None = None) -> Iterator[Batch]:
        """The batches of an epoch, or of what is left of it; files of which nothing is left are not read.

        The same (seed, epoch, rank, size) gives the same batches.
        """
        plan = self.plan.resume_at(remaining)
        slices = plan.slices(self._file_order(epoch))
        step, missing, pending = 0, plan.local_batch, list[_Rows]()
        for rows in self._read(slices, epoch):
            at, n = 0, len(rows.label)
            while n - at >= missing:
                pending.append(rows.take(slice(at, at + missing)))
                yield self._batch(_Rows.join(pending))
                at, step = at + missing, step + 1
                missing, pending = plan.local_batch, []
            if at < n:
                pending.append(rows.take(slice(at, None)))
                missing -= n - at
        if step < plan.steps:
            yield self._batch(_Rows.join(pending or [self._empty()]))

    @property
    def lookups(self) -> int:
        """Ids that a rank looks up in a step at most, pads included."""
        return self.plan.local_batch * len(self._map.id_columns)

    def with_row_keys(self) -> "Feed":
        """The same rows in the same order, with their keys."""
        found = copy.copy(self)
        found._with_row_keys, found._kept = True, None
        return found

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
        """The file of each slice, as it is stored. Slices of one file stand together, and it is read once."""
        kept = self._kept if self._kept is not None else {}
        fresh = self._through_petastorm([file for file, _ in groupby(slices, _file_of) if file not in kept])
        for file, pieces in groupby(slices, _file_of):
            rows = kept[file] if file in kept else next(fresh)
            if self._kept is not None:
                self._kept[file] = rows
            for _ in pieces:
                yield rows

    def _through_petastorm(self, files: list[int]) -> Iterator[_Rows]:
        if not files:
            return
        columns = [*self._map.id_columns, *self._map.x_columns, _LABEL]
        columns += [*([_WEIGHT] if self._weighted else []), *([_ROW_KEY] if self._with_row_keys else [])]
        at = 0
        try:
            with make_batch_reader(
                [to_url(self._files[file]) for file in files],
                schema_fields=columns,
                shuffle_row_groups=False,
                num_epochs=1,
                reader_pool_type="thread",
                workers_count=1,  # with more, row groups arrive in no fixed order
                results_queue_size=_ROW_GROUPS_AHEAD,
                filesystem=petastorm_file_system(self._files[files[0]]),
            ) as reader:
                for at, (file, group) in enumerate(zip(files, reader, strict=True)):  # noqa: B007
                    rows = self._rows(group)
                    found, expected = len(rows.label), self.plan.file_rows(file)
                    assert found == expected, f"{self._files[file]}: {found} rows, {expected} expected"
                    yield rows
        except (OSError, pa.ArrowException) as error:
            raise self._unreadable(files[at:], error) from error

    def _unreadable(self, left: list[int], error: Exception) -> DatasetError:
        """Name the file at which reading has stopped: the first of those `left` whose footer is not what it was."""
        for file in left:
            try:
                _check_footer(self._files[file], self.plan.file_rows(file))
            except DatasetError as found:
                return DatasetError(f"{found}, then go on with --resume auto")
        return DatasetError(f"{self._files[left[0]].parent}: cannot be read: {str(error).splitlines()[0]}")

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
        raise DatasetError(f"{file}: not a whole Parquet file; prepare the dataset again") from error
    if (footer.num_row_groups, footer.num_rows) != (1, rows):
        raise DatasetError(
            f"{file}: {footer.num_rows} rows in {footer.num_row_groups} row groups, the manifest says {rows} in one; "
            "prepare the dataset again"
        )
