"""The tables of a feature map on disk: one Parquet file each, the layout in the metadata of the features'."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import DataFrame, SparkSession

from pipelines.contracts import FEATURE_TABLE, conform
from pipelines.encoding.fitting import FittedFeatureMap
from pipelines.spark import literal

_FEATURES = pa.schema(
    [
        pa.field("id", pa.int32(), nullable=False),
        pa.field("field", pa.string()),
        pa.field("value", pa.string()),
        pa.field("count", pa.int64()),
    ]
)
_COUNTS = pa.schema(
    [
        pa.field("field", pa.string(), nullable=False),
        pa.field("key", pa.int64(), nullable=False),
        pa.field("count", pa.int64(), nullable=False),
    ]
)

_PAIRS = pa.schema(
    [
        pa.field("of", pa.string(), nullable=False),
        pa.field("relation", pa.string(), nullable=False),
        pa.field("left", pa.int32(), nullable=False),
        pa.field("right", pa.int32(), nullable=False),
        pa.field("count", pa.int64(), nullable=False),
    ]
)


def write_feature_table(fitted: FittedFeatureMap, path: Path) -> None:
    """Write the table from one executor task, in a stream: V rows pass, a batch at a time."""
    schema = _FEATURES.with_metadata(fitted.feature_map.to_metadata())
    written = write_one_file(fitted.table, ["id"], schema, path)
    assert written == fitted.feature_map.n_ids, f"{written} feature rows written, {fitted.feature_map.n_ids} fitted"


def write_count_table(counts: DataFrame, path: Path) -> int:
    """Write contract `COUNT_TABLE`, sorted; returns its rows."""
    return write_one_file(counts, ["field", "key"], _COUNTS, path)


def write_pair_table(pairs: DataFrame, path: Path) -> int:
    """Write contract `PAIR_TABLE`, sorted; returns its rows."""
    return write_one_file(pairs, ["of", "relation", "left", "right"], _PAIRS, path)


def write_one_file(frame: DataFrame, order: list[str], schema: pa.Schema, path: Path) -> int:
    """Write a table, sorted, as one Parquet file from one executor task, a batch at a time. Returns its rows."""
    target = str(path)

    def write(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        unfinished, rows = f"{target}.{uuid4().hex}.unfinished", 0  # an orphaned task may still be writing its own
        with pq.ParquetWriter(unfinished, schema, compression="zstd") as writer:
            for batch in batches:
                table = pa.Table.from_batches([batch]).select(schema.names)
                writer.write_table(table.cast(schema.remove_metadata()).replace_schema_metadata(schema.metadata))
                rows += batch.num_rows
        Path(unfinished).replace(target)
        yield pa.RecordBatch.from_pydict({"rows": pa.array([rows], pa.int64())})

    ordered = frame.coalesce(1).sortWithinPartitions(*order)
    written = ordered.mapInArrow(write, "rows long").collect()
    if not written:  # Spark may find that there are no rows, and run no task
        pq.write_table(schema.empty_table(), path)
    return sum(int(row["rows"]) for row in written)


def read_feature_table(spark: SparkSession, path: Path) -> DataFrame:
    """The table as Spark sees it: contract `FEATURE_TABLE`."""
    return conform(spark.read.parquet(literal(path)), FEATURE_TABLE)
