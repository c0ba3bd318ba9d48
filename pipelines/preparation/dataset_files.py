"""Writing shuffled instances as files of equal length, one row group each."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F

from afm_core.storage.atomic import replacing
from afm_core.storage.checksum import file_sha256
from afm_core.storage.paths import make_folder, to_path
from pipelines.contracts import LABEL, ROW_KEY
from pipelines.dataset import SPLITS, SplitManifest, file_name
from pipelines.encoding.indexing import INDEX, index_within_groups
from pipelines.logs.columns import OURS
from pipelines.parquet_files import COMPRESSION, require_distinct_neighbours
from pipelines.preparation.splits import ORDER, SPLIT
from pipelines.spark_errors import reporting_errors

_FILE = f"{OURS}file"
_WRITTEN = "split int, file int, rows long, positives long, sha256 string"


@dataclass(frozen=True)
class WrittenSplits:
    """The files of a dataset, by split."""

    manifests: dict[str, SplitManifest]
    checksums: dict[str, list[str]]
    """SHA-256 of each file, in the order of the files."""


def write_splits(rows: DataFrame, content: list[str], rows_per_file: int, folder: Path) -> WrittenSplits:
    """Write `folder/{train,valid,test}/part-*.parquet` in the order of split, shuffle key and `row_key`.

    File f of a split begins with row f x rows_per_file, however the rows are partitioned, so that a task that runs
    twice writes the same bytes. Cost: two shuffles of the instances, one to number them and one to group them by file,
    and on the driver one row per file.

    Args:
        rows: contract `instances` with `SPLIT_COLUMNS`.
        content: the columns to write.
    """
    for name in SPLITS:
        make_folder(folder / name)
    numbered = index_within_groups(rows, SPLIT, [F.asc(ORDER), F.asc(ROW_KEY)]).frame
    numbered = numbered.withColumn(_FILE, F.floor(F.col(INDEX) / rows_per_file).cast("int"))
    files = numbered.repartition(SPLIT, _FILE).sortWithinPartitions(SPLIT, _FILE, INDEX)
    written = files.select(SPLIT, _FILE, *content).mapInArrow(
        reporting_errors(_FileWriter(str(folder), content)), _WRITTEN
    )
    of_split: dict[str, list[Row]] = {name: [] for name in SPLITS}
    for file in sorted(written.collect()):  # one row per file
        of_split[SPLITS[file["split"]]].append(file)
    return WrittenSplits(
        {
            name: SplitManifest(
                rows=sum(file["rows"] for file in written_files),
                files=len(written_files),
                positives=sum(file["positives"] for file in written_files),
            )
            for name, written_files in of_split.items()
        },
        {name: [file["sha256"] for file in written_files] for name, written_files in of_split.items()},
    )


class _FileWriter:
    """Cuts a sorted stream of batches into files; yields one row per file."""

    def __init__(self, folder: str, content: list[str]) -> None:
        self._folder, self._content = to_path(folder), content

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        pieces: list[pa.RecordBatch] = []
        current: tuple[int, int] | None = None
        for batch in batches:
            for key, piece in _runs(batch):
                if key != current and current is not None:
                    yield self._write(current, pieces)
                    pieces = []
                current = key
                pieces.append(piece)
        if current is not None:
            yield self._write(current, pieces)

    def _write(self, key: tuple[int, int], pieces: list[pa.RecordBatch]) -> pa.RecordBatch:
        split, number = key
        table = pa.Table.from_batches(pieces).select(self._content).replace_schema_metadata(None)
        require_distinct_neighbours(table, [ROW_KEY], None, f"{SPLITS[split]} split")
        path = self._folder / SPLITS[split] / file_name(number)
        with replacing(path) as unfinished:  # an orphaned task may still be writing its own
            pq.write_table(table, unfinished, compression=COMPRESSION, row_group_size=table.num_rows)
            footer = pq.read_metadata(unfinished)
            assert (footer.num_row_groups, footer.num_rows) == (1, table.num_rows), f"{path}: not one whole row group"
            checksum = file_sha256(unfinished)
        positives = int((table[LABEL].to_numpy() > 0).sum())
        return pa.RecordBatch.from_pydict(
            {
                "split": pa.array([split], pa.int32()),
                "file": pa.array([number], pa.int32()),
                "rows": pa.array([table.num_rows], pa.int64()),
                "positives": pa.array([positives], pa.int64()),
                "sha256": pa.array([checksum]),
            }
        )


def _runs(batch: pa.RecordBatch) -> Iterator[tuple[tuple[int, int], pa.RecordBatch]]:
    """The pieces of a sorted batch that belong to one file each, as ((split, file), rows)."""
    split, file = batch.column(SPLIT).to_numpy(), batch.column(_FILE).to_numpy()
    starts = [0, *((split[1:] != split[:-1]) | (file[1:] != file[:-1])).nonzero()[0] + 1, batch.num_rows]
    for start, end in pairwise(starts):
        if end > start:
            yield (int(split[start]), int(file[start])), batch.slice(start, end - start)
