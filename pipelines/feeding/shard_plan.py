"""Which rows each rank reads in an epoch, and in how many steps. Arithmetic over the manifest; nothing is read.

An epoch is one long sequence of rows: the files in the epoch's order, one after another. Rank r of W takes the r-th of
W consecutive stretches whose lengths differ by at most one row, so every row is seen exactly once by exactly one rank,
however the files divide. All ranks take the same number of steps; in the last one some may have a row less, or none,
which is why losses and gradients are sums over ranks divided by the rows of the whole step.

What is left of an epoch after some steps, a piece of each rank's stretch, is divided in the same way: between the same
ranks, which then read on as if nothing had happened, or between more or fewer of them.
"""

from dataclasses import dataclass, replace
from typing import Self

from afm_core.errors import DatasetError

Stretches = tuple[tuple[int, int], ...]
"""Parts of an epoch's sequence of rows, each from a first row to the one after its last."""


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
    remaining: Stretches | None = None
    """Where only a part of the epoch is divided: which."""

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
        """Files of the split."""
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
        """Rows that `rank` sees in an epoch."""
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
        """Rows that are divided."""
        return self.rows if self.remaining is None else sum(stop - start for start, stop in self.remaining)

    def rest(self, steps: int) -> Stretches:
        """What is left after every rank has done `steps` steps."""
        found, begin = list[tuple[int, int]](), 0
        for rank in range(self.size):
            end = begin + self.rank_rows(rank)
            found += self._cut(min(begin + steps * self.local_batch, end), end)
            begin = end
        return tuple(found)

    def resume_at(self, remaining: Stretches | None) -> Self:
        """The division of what is left."""
        return replace(self, remaining=remaining)

    def _cut(self, begin: int, end: int) -> list[tuple[int, int]]:
        """Rows `begin` to `end` of those that are divided, as parts of the whole epoch."""
        found, at = [], 0
        for start, stop in ((0, self.rows),) if self.remaining is None else self.remaining:
            first, last = max(begin - at, 0), min(end - at, stop - start)
            if first < last:
                found.append((start + first, start + last))
            at += stop - start
        return found

    def file_rows(self, file: int) -> int:
        """Rows of a file: `rows_per_file`, or what is left for the last."""
        return min(self.rows_per_file, self.rows - file * self.rows_per_file)

    def slices(self, order: list[int]) -> list[FileSlice]:
        """What this rank reads when the files stand in `order`."""
        before = sum(self.rank_rows(rank) for rank in range(self.rank))
        found = []
        for begin, end in self._cut(before, before + self.rank_rows(self.rank)):
            at = 0
            for file in order:
                rows = self.file_rows(file)
                start, stop = max(begin - at, 0), min(end - at, rows)
                if start < stop:
                    found.append(FileSlice(file, rows, start, stop))
                at += rows
        return found
