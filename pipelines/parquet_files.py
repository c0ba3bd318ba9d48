"""Writing a whole table as one Parquet file from a Spark task, in a stream."""

from collections.abc import Iterable, Iterator
from functools import reduce
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyspark.sql import DataFrame

from afm_core.storage.atomic import replacing
from afm_core.storage.paths import open_for_reading, to_path
from pipelines.contract_checks import Contract, ContractError, check_frame
from pipelines.spark_errors import reporting_errors

COMPRESSION = "zstd"


def write_sorted_table(
    frame: DataFrame, contract: Contract, path: Path, metadata: dict[bytes, bytes] | None = None
) -> int:
    """Write a table, sorted by the columns that are unique in it, as one Parquet file. Returns its number of rows.

    One executor task writes the file, batch by batch, to a name of its own, so that an orphaned task cannot disturb the
    one that replaced it. The file appears as a whole.

    Args:
        metadata: key-value pairs for the schema of the file.

    Raises:
        ContractError: two rows have the same values in the columns that must be unique.
    """
    target, schema, unique = str(path), contract.arrow, contract.unique
    name = contract.name

    def write(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        rows, last = 0, None
        with (
            replacing(to_path(target)) as unfinished,
            pq.ParquetWriter(unfinished, schema.with_metadata(metadata), compression=COMPRESSION) as writer,
        ):
            for batch in batches:
                table = pa.Table.from_batches([batch]).select(schema.names).cast(schema)
                last = require_distinct_neighbours(table, unique, last, name)
                writer.write_table(table.replace_schema_metadata(metadata))
                rows += batch.num_rows
        yield pa.RecordBatch.from_pydict({"rows": pa.array([rows], pa.int64())})

    ordered = check_frame(frame, contract).coalesce(1).sortWithinPartitions(*unique)
    written = ordered.mapInArrow(reporting_errors(write), "rows long").collect()
    if not written:  # Spark runs no task where it can tell that there are no rows
        with replacing(path) as unfinished:
            pq.write_table(schema.with_metadata(metadata).empty_table(), unfinished)
    return sum(int(row["rows"]) for row in written)


def read_whole(path: Path) -> pa.Table:
    """The table of one local or remote Parquet file."""
    with open_for_reading(path) as file:
        return pq.read_table(file)


def require_distinct_neighbours(
    table: pa.Table, unique: Iterable[str], last: pa.Table | None, name: str
) -> pa.Table | None:
    """Check that no two neighbouring rows of a sorted table are equal in the columns that must be unique.

    Args:
        last: the last row before this table, as this function returned it.
        name: the table, for the error message.

    Returns:
        the last row of the table, for the next call.

    Raises:
        ContractError: two rows are equal.
    """
    keys = table.select(list(unique))
    if not keys.num_rows:
        return last
    rows = keys if last is None else pa.concat_tables([last, keys])
    columns = [column.combine_chunks() for column in rows.columns]
    equal = [pc.equal(column.slice(1), column.slice(0, len(column) - 1)) for column in columns]
    if equal and pc.any(reduce(pc.and_, equal)).as_py():
        raise ContractError(f"{name}: two rows with the same {', '.join(keys.column_names)}, which must be unique")
    return keys.slice(keys.num_rows - 1)
