"""Writing the scores of a night from Spark's Python workers, which have them: sent back, each row would cost as much
as its model."""

import shutil
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark import TaskContext
from pyspark.sql import DataFrame
from pyspark.sql.pandas.types import to_arrow_schema
from pyspark.sql.types import StructType

from pipelines.spark import Batches, map_in_arrow

_UNFINISHED = "_unfinished"  # Spark, and pyarrow, read past names that begin with _
_ROWS_A_GROUP, _BYTES_A_GROUP = 1 << 20, 1 << 27


def write_parts(rows: DataFrame, made: Callable[[Batches], Batches], contract: StructType, folder: Path) -> int:
    """Write `made` of the rows as Parquet, a file a task; returns how many rows were written.

    A task that is tried again replaces its file, and one that is cut short leaves none.

    Args:
        folder: must be there, on a file system that every executor sees, and empty.
    """
    schema, target = to_arrow_schema(contract), str(folder.absolute())
    (folder / _UNFINISHED).mkdir()

    def write(batches: Batches) -> Iterator[pa.RecordBatch]:
        context, written, found = TaskContext.get(), 0, iter(made(batches))
        first = next(found, None)
        if context is None or first is None:
            return
        name = f"part-{context.partitionId():05d}.parquet"
        unfinished = Path(target) / _UNFINISHED / f"{uuid4().hex}-{name}"
        with pq.ParquetWriter(unfinished, schema, compression="zstd") as writer:
            for group in _row_groups(chain([first], found), schema):
                writer.write_table(group)
                written += group.num_rows
        unfinished.replace(Path(target) / name)
        yield pa.RecordBatch.from_pydict({"rows": pa.array([written])})

    counts = map_in_arrow(rows, write, "rows long").collect()  # one row a task
    shutil.rmtree(folder / _UNFINISHED, ignore_errors=True)  # a task given up for lost may still be writing there
    return sum(count["rows"] for count in counts)


def write_none(contract: StructType, folder: Path) -> None:
    """Write a file without rows into a new folder."""
    folder.mkdir()
    pq.write_table(to_arrow_schema(contract).empty_table(), folder / "part-00000.parquet")


def _row_groups(batches: Batches, schema: pa.Schema) -> Iterator[pa.Table]:
    """Batches side by side until they make a row group that is worth reading by itself."""
    kept: list[pa.Table] = []
    for batch in batches:
        kept.append(pa.Table.from_batches([batch]).select(schema.names).cast(schema))
        if sum(map(len, kept)) >= _ROWS_A_GROUP or sum(part.nbytes for part in kept) >= _BYTES_A_GROUP:
            yield pa.concat_tables(kept)
            kept = []
    if kept:
        yield pa.concat_tables(kept)
