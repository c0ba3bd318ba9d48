"""The feature map on disk: one Parquet file, sorted by id, with the layout in its metadata."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import DataFrame, SparkSession

from pipelines.contracts import FEATURES, conform
from pipelines.encoding.fitting import FittedMap
from pipelines.spark import literal

_ARROW = pa.schema(
    [
        pa.field("id", pa.int32(), nullable=False),
        pa.field("field", pa.string()),
        pa.field("value", pa.string()),
        pa.field("count", pa.int64(), nullable=False),
    ]
)


def write_feature_table(fitted: FittedMap, path: Path) -> None:
    """Write the table from one executor task, in a stream: V rows pass, a batch at a time."""
    schema, target = _ARROW.with_metadata(fitted.feature_map.to_metadata()), str(path)

    def write(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        unfinished, rows = f"{target}.unfinished", 0
        with pq.ParquetWriter(unfinished, schema, compression="zstd") as writer:
            for batch in batches:
                table = pa.Table.from_batches([batch]).cast(_ARROW).replace_schema_metadata(schema.metadata)
                writer.write_table(table)
                rows += batch.num_rows
        Path(unfinished).replace(target)
        yield pa.RecordBatch.from_pydict({"rows": pa.array([rows], pa.int64())})

    ordered = fitted.table.coalesce(1).sortWithinPartitions("id")
    written = ordered.mapInArrow(write, "rows long").collect()[0]["rows"]
    assert written == fitted.feature_map.n_ids, f"{written} feature rows written, {fitted.feature_map.n_ids} fitted"


def read_feature_table(spark: SparkSession, path: Path) -> DataFrame:
    """The table as Spark sees it: contract `FEATURES`."""
    return conform(spark.read.parquet(literal(path)), FEATURES)
