"""Writing shuffled instances as files of equal length, one row group each."""

from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from afm_core.storage.atomic import replacing
from afm_core.storage.paths import make_folder, to_path
from pipelines.contracts import LABEL, ROW_KEY
from pipelines.dataset import SPLITS, SplitManifest, file_name
from pipelines.encoding.indexing import INDEX, index_within_groups
from pipelines.logs.columns import OURS
from pipelines.parquet_files import COMPRESSION, require_distinct_neighbours
from pipelines.preparation.splits import ORDER, SPLIT
from pipelines.spark_errors import reporting_errors

_FILE = f"{OURS}file"
_WRITTEN = "split int, rows long, positives long"


def write_splits(rows: DataFrame, content: list[str], rows_per_file: int, folder: Path) -> dict[str, SplitManifest]:
    """Write `folder/{train,valid,test}/part-*.parquet` in the order of split, shuffle key and `row_key`.

    File f of a split begins with row f x rows_per_file, however the rows are partitioned, so that a task that runs
    twice writes the same bytes. Cost: two shuffles of the instances, one to number them and one to group them by file.

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
    totals = written.groupBy("split").agg(
        F.count(F.lit(1)).alias("files"), F.sum("rows").alias("rows"), F.sum("positives").alias("positives")
    )
    by_split = {SPLITS[row["split"]]: row for row in totals.collect()}  # three rows
    return {
        name: SplitManifest(
            rows=by_split[name]["rows"], files=by_split[name]["files"], positives=by_split[name]["positives"]
        )
        if name in by_split
        else SplitManifest(rows=0, files=0, positives=0)
        for name in SPLITS
    }


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
        positives = int((table[LABEL].to_numpy() > 0).sum())
        return pa.RecordBatch.from_pydict(
            {
                "split": pa.array([split], pa.int32()),
                "rows": pa.array([table.num_rows], pa.int64()),
                "positives": pa.array([positives], pa.int64()),
            }
        )


def _runs(batch: pa.RecordBatch) -> Iterator[tuple[tuple[int, int], pa.RecordBatch]]:
    """The pieces of a sorted batch that belong to one file each, as ((split, file), rows)."""
    split, file = batch.column(SPLIT).to_numpy(), batch.column(_FILE).to_numpy()
    starts = [0, *((split[1:] != split[:-1]) | (file[1:] != file[:-1])).nonzero()[0] + 1, batch.num_rows]
    for start, end in pairwise(starts):
        if end > start:
            yield (int(split[start]), int(file[start])), batch.slice(start, end - start)
