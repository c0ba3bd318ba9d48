"""Which rows each rank reads in an epoch, and in how many steps. Arithmetic over the manifest; nothing is read.

An epoch is one sequence of rows: the files in the order of the epoch, one after another. It is divided into `size`
consecutive ranges whose lengths differ by at most one row, one for each rank, so every row is used exactly once by
exactly one rank, whatever the sizes of the files. All ranks take the same number of steps; in the last step some ranks
may have one row less, or none, which is why losses and gradients are sums over ranks divided by the rows of the step.

The remaining rows of an interrupted epoch, a part of each rank's range, are divided in the same way: between the same
ranks, which then continue with the same batches, or between more or fewer ranks.
"""

from dataclasses import dataclass, replace
from typing import Self

from afm_core.errors import DatasetError

RowRanges = tuple[tuple[int, int], ...]
"""Parts of an epoch's sequence of rows, each from `start` to `stop`, exclusive."""


@dataclass(frozen=True)
class FileSlice:
    """Rows `start` to `stop` of the epoch's permutation of one file."""

    file: int
    rows: int
    """Rows of the whole file."""
    start: int
    stop: int


@dataclass(frozen=True)
class ShardPlan:
    """The division of one split between `size` ranks."""

    rows: int
    rows_per_file: int
    batch_size: int
    """Rows of a step over all ranks."""
    rank: int
    size: int
    remaining: RowRanges | None = None
    """The part of the epoch to divide; None for the whole epoch."""

    def __post_init__(self) -> None:
        if self.batch_size % self.size:
            raise DatasetError(
                f"train.batch_size = {self.batch_size} does not divide between {self.size} ranks; "
                f"set it to a multiple of {self.size}"
            )
        if self.rows < self.size:
            raise DatasetError(f"{self.rows} rows are not enough for {self.size} ranks; use fewer ranks or more logs")

    @property
    def n_files(self) -> int:
        """Number of files of the split."""
        return -(-self.rows // self.rows_per_file)

    @property
    def local_batch(self) -> int:
        """Rows of a step on each rank."""
        return self.batch_size // self.size

    @property
    def steps(self) -> int:
        """Steps of an epoch, on every rank."""
        return -(-self.rank_rows(0) // self.local_batch)

    def rank_rows(self, rank: int) -> int:
        """Rows of `rank` in an epoch."""
        rows = self.remaining_rows
        return rows // self.size + (rank < rows % self.size)

    def local_rows(self, step: int, rank: int | None = None) -> int:
        """Rows of `rank` (default: this one) in a step."""
        remaining = self.rank_rows(self.rank if rank is None else rank) - step * self.local_batch
        return max(0, min(self.local_batch, remaining))

    def global_rows(self, step: int) -> int:
        """Rows of all ranks in a step."""
        return sum(self.local_rows(step, rank) for rank in range(self.size))

    @property
    def remaining_rows(self) -> int:
        """Rows that the plan divides."""
        return self.rows if self.remaining is None else sum(stop - start for start, stop in self.remaining)

    def rest(self, steps: int) -> RowRanges:
        """The remaining rows after `steps` steps of every rank."""
        ranges, begin = list[tuple[int, int]](), 0
        for rank in range(self.size):
            end = begin + self.rank_rows(rank)
            ranges += self._cut(min(begin + steps * self.local_batch, end), end)
            begin = end
        return tuple(ranges)

    def resume_at(self, remaining: RowRanges | None) -> Self:
        """A plan that divides only the remaining rows."""
        return replace(self, remaining=remaining)

    def _cut(self, begin: int, end: int) -> list[tuple[int, int]]:
        """Rows `begin` to `end` of the divided rows, as ranges of the whole epoch."""
        ranges, offset = [], 0
        for start, stop in ((0, self.rows),) if self.remaining is None else self.remaining:
            first, last = max(begin - offset, 0), min(end - offset, stop - start)
            if first < last:
                ranges.append((start + first, start + last))
            offset += stop - start
        return ranges

    def file_rows(self, file: int) -> int:
        """Rows of a file: `rows_per_file`, or fewer in the last file."""
        return min(self.rows_per_file, self.rows - file * self.rows_per_file)

    def slices(self, order: list[int]) -> list[FileSlice]:
        """The rows that this rank reads if the files are in this order."""
        before = sum(self.rank_rows(rank) for rank in range(self.rank))
        slices = []
        for begin, end in self._cut(before, before + self.rank_rows(self.rank)):
            offset = 0
            for file in order:
                rows = self.file_rows(file)
                start, stop = max(begin - offset, 0), min(end - offset, rows)
                if start < stop:
                    slices.append(FileSlice(file, rows, start, stop))
                offset += rows
        return slices
