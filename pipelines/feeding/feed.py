"""Streaming a split through Petastorm as batches. Nothing else imports Petastorm."""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

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

_LABEL, _ROW_KEY = "label", "row_key"
_ROW_GROUPS_AHEAD = 4


@dataclass(frozen=True)
class Batch:
    """Rows of one step on one rank."""

    encoded: EncodedBatch
    label: Tensor
    """(B,) float32."""
    row_key: Tensor | None
    """(B,) int64, where the feed was asked for it."""


class Feed:
    """One rank's rows of one split. Each epoch is a fresh reader: a Petastorm reader cannot start again."""

    def __init__(
        self, dataset: Dataset, split: str, plan: ShardPlan, seed: int | None, with_row_keys: bool = False
    ) -> None:
        """Check every file's footer against the manifest.

        Args:
            seed: of the permutations of each epoch; None reads the rows as they stand.

        Raises:
            DatasetError: a file is missing, unreadable, or not one row group of the rows that the manifest says.
        """
        self.plan, self.names = plan, dataset.feature_map.names
        self._files, self._seed, self._with_row_keys = dataset.files(split), seed, with_row_keys
        for number, file in enumerate(self._files):
            _check_footer(file, plan.file_rows(number))

    def epoch(self, epoch: int) -> Iterator[Batch]:
        """`plan.steps` batches. The same (seed, epoch, rank, size) gives the same batches."""
        slices = self.plan.slices(self._file_order(epoch))
        pending = [np.empty((0, len(self.names) + 2), dtype=np.int64)]
        waiting, step = 0, 0
        for rows in self._read(slices, epoch):
            pending.append(rows)
            waiting += len(rows)
            if waiting >= self.plan.local_batch:
                block, at = np.concatenate(pending), 0
                while waiting >= self.plan.local_batch:
                    size = self.plan.local_batch
                    yield self._batch(block[at : at + size])
                    at, waiting, step = at + size, waiting - size, step + 1
                pending = [block[at:]]
        if step < self.plan.steps:
            yield self._batch(np.concatenate(pending))

    def _file_order(self, epoch: int) -> list[int]:
        files = self.plan.n_files
        return list(range(files)) if self._seed is None else [int(f) for f in self._random(epoch).permutation(files)]

    def _random(self, epoch: int, *key: int) -> np.random.Generator:
        return np.random.default_rng(np.random.SeedSequence([self._seed or 0, epoch, *key]))

    def _read(self, slices: list[FileSlice], epoch: int) -> Iterator[NDArray[np.int64]]:
        """The rows of each slice: ids, label bits and row key side by side."""
        urls = [self._files[piece.file].absolute().as_uri() for piece in slices]
        columns = [*self.names, _LABEL, *([_ROW_KEY] if self._with_row_keys else [])]
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
                rows = self._pack(group)
                assert len(rows) == piece.rows, f"{self._files[piece.file]}: {len(rows)} rows, {piece.rows} expected"
                if self._seed is not None:
                    rows = rows[self._random(epoch, 1 + piece.file).permutation(len(rows))]
                yield rows[piece.start : piece.stop]

    def _pack(self, group: object) -> NDArray[np.int64]:
        label = getattr(group, _LABEL)
        packed = np.empty((len(label), len(self.names) + 2), dtype=np.int64)
        for at, name in enumerate(self.names):
            packed[:, at] = getattr(group, name)
        packed[:, -2] = label.astype(np.float32).view(np.int32)
        packed[:, -1] = getattr(group, _ROW_KEY) if self._with_row_keys else 0
        return packed

    def _batch(self, packed: NDArray[np.int64]) -> Batch:
        ids = torch.from_numpy(np.ascontiguousarray(packed[:, :-2]))
        label = torch.from_numpy(packed[:, -2].astype(np.int32).view(np.float32))
        row_key = torch.from_numpy(packed[:, -1].copy()) if self._with_row_keys else None
        return Batch(EncodedBatch.of_ids(ids), label, row_key)


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
