"""Streaming a split through Petastorm as batches. Nothing else imports Petastorm."""

import copy
import warnings
from collections.abc import Iterator
from dataclasses import replace
from itertools import groupby

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from afm_core.errors import DatasetError, RepublishedError
from afm_core.storage.paths import to_url
from pipelines.dataset import Dataset
from pipelines.dataset_integrity import check_content, check_footer
from pipelines.feeding.batch import Batch
from pipelines.feeding.remote import petastorm_file_system
from pipelines.feeding.rows import RowLayout, Rows, cut
from pipelines.feeding.shard_plan import FileSlice, RowRanges, ShardPlan

# Petastorm uses interfaces of pyarrow that later versions lack; the pins hold it to one that has them.
warnings.filterwarnings("ignore", category=FutureWarning, module=r"petastorm\b")
from petastorm import make_batch_reader  # noqa: E402

_PREFETCHED_ROW_GROUPS = 4


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
        """Check every file's footer against the manifest. Its checksum is compared when it is read for the first time.

        Args:
            seed: of the permutations of each epoch; None reads the rows in the order of the files.
            group_positives: permute each positive and the negatives after it as one unit.
            in_memory: keep the rows for later epochs; see `memory.bytes_needed`.

        Raises:
            DatasetError: a file is missing, unreadable, or not one row group with the number of rows in the manifest.
        """
        self.plan, self._dataset = plan, dataset
        self.feature_map, self.value_index = dataset.feature_map, dataset.feature_map.value_index
        self._files, self._seed, self._layout = dataset.files(split), seed, RowLayout(dataset, with_row_keys)
        self._group_positives = group_positives
        self._cache: dict[int, Rows] | None = {} if in_memory else None
        for number, file in enumerate(self._files):
            check_footer(file, plan.file_rows(number))
        self._unchecked = dict(enumerate(dataset.checksums(split)))

    def epoch(self, epoch: int, remaining: RowRanges | None = None) -> Iterator[Batch]:
        """The batches of an epoch, or of its remaining rows; files without remaining rows are not read.

        The same (seed, epoch, rank, size) gives the same batches.
        """
        plan = self.plan.resume_at(remaining)
        slices = plan.slices(self._file_order(epoch))
        step = 0
        for rows in cut(self._read(slices, epoch), plan.local_batch):
            yield self._layout.batch(rows)
            step += 1
        if step < plan.steps:
            yield self._layout.batch(self._layout.empty())

    @property
    def lookups(self) -> int:
        """Upper bound of the ids that a rank looks up in a step, padding included."""
        return self.plan.local_batch * len(self._dataset.feature_map.id_columns)

    def with_row_keys(self) -> "Feed":
        """A feed of the same rows in the same order, with their row keys."""
        feed = copy.copy(self)
        feed._layout, feed._cache = RowLayout(self._dataset, with_row_keys=True), None
        return feed

    def of_all_ranks(self) -> "Feed":
        """A feed of the rows of all ranks, in the order of the files."""
        feed = copy.copy(self)
        feed.plan, feed._seed = replace(self.plan, rank=0, size=1), None
        return feed

    def _file_order(self, epoch: int) -> list[int]:
        files = self.plan.n_files
        return list(range(files)) if self._seed is None else [int(f) for f in self._random(epoch).permutation(files)]

    def _random(self, epoch: int, *key: int) -> np.random.Generator:
        return np.random.default_rng(np.random.SeedSequence([self._seed or 0, epoch, *key]))

    def _read(self, slices: list[FileSlice], epoch: int) -> Iterator[Rows]:
        """The rows of each slice, in the order of the epoch."""
        for piece, rows in zip(slices, self._whole_files(slices), strict=True):
            if self._seed is None:
                yield rows.take(slice(piece.start, piece.stop))
            else:
                order = self._permutation(rows, self._random(epoch, 1 + piece.file))
                yield rows.gather(order[piece.start : piece.stop])

    def _whole_files(self, slices: list[FileSlice]) -> Iterator[Rows]:
        """The stored rows of the file of each slice. Slices of one file are adjacent, and the file is read once."""
        cache = self._cache if self._cache is not None else {}
        fresh = self._through_petastorm([file for file, _ in groupby(slices, _file_of) if file not in cache])
        for file, pieces in groupby(slices, _file_of):
            rows = cache[file] if file in cache else next(fresh)
            if self._cache is not None:
                self._cache[file] = rows
            for _ in pieces:
                yield rows

    def _through_petastorm(self, files: list[int]) -> Iterator[Rows]:
        if not files:
            return
        number = 0
        try:
            with make_batch_reader(
                [to_url(self._files[file]) for file in files],
                schema_fields=self._layout.columns,
                shuffle_row_groups=False,
                num_epochs=1,
                reader_pool_type="thread",
                workers_count=1,  # with more, row groups arrive in no fixed order
                results_queue_size=_PREFETCHED_ROW_GROUPS,
                filesystem=petastorm_file_system(self._files[files[0]]),
            ) as reader:
                for number, (file, group) in enumerate(zip(files, reader, strict=True)):  # noqa: B007
                    rows = self._layout.rows(group._asdict())
                    n_rows, expected = len(rows.label), self.plan.file_rows(file)
                    if n_rows != expected:
                        raise RepublishedError(
                            f"{self._files[file]}: {n_rows} rows, {expected} when the training began: replaced while "
                            "it was being read; train again"
                        )
                    self._check_content(file)
                    yield rows
        except RepublishedError:
            raise
        except Exception as error:  # Petastorm and pyarrow raise many kinds where the content of a file is damaged
            damage = self._damage(files[number:])
            if damage:
                raise damage from error
            if isinstance(error, OSError | pa.ArrowException):
                folder = self._files[files[number]].parent
                raise DatasetError(f"{folder}: cannot be read: {str(error).splitlines()[0]}") from error
            raise

    def _check_content(self, file: int) -> None:
        """Compare the checksum of a file that is read for the first time."""
        if file in self._unchecked:
            check_content(self._files[file], self._unchecked[file])
            del self._unchecked[file]

    def _damage(self, unread: list[int]) -> DatasetError | None:
        """The error that names the file at which reading stopped: the first unread one that has changed, if any."""
        for file in unread:
            try:
                check_footer(self._files[file], self.plan.file_rows(file))
                self._check_content(file)
            except DatasetError as damage:
                return DatasetError(f"{damage}, then continue with --resume auto")
        return None

    def _permutation(self, rows: Rows, random: np.random.Generator) -> NDArray[np.int64]:
        if not self._group_positives:
            return random.permutation(len(rows.label))
        group = np.cumsum(rows.label > 0)
        return np.argsort(random.permutation(group[-1] + 1)[group], kind="stable")


def _file_of(piece: FileSlice) -> int:
    return piece.file
