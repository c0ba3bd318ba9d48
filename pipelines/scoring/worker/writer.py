"""Writing the scores of a night from the Python workers that computed them.

Sending them back to the JVM would cost as much per row as the model does.
"""

from collections.abc import Callable, Iterator
from itertools import chain

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark import TaskContext
from pyspark.sql import DataFrame

from pipelines import phases
from pipelines.contract_checks import Contract, check_batch
from pipelines.parquet_files import COMPRESSION
from pipelines.scoring.published.store import NightStage, Part
from pipelines.spark import Batches, map_in_arrow

_ROWS_PER_GROUP, _BYTES_PER_GROUP = 1 << 20, 1 << 27


def write_parts(rows: DataFrame, task: Callable[[Batches], Batches], contract: Contract, stage: NightStage) -> int:
    """Apply `task` to the rows and write its output as Parquet, one file per task. Returns the number of rows written.

    Only the files of tasks that succeeded are published, one for each, however often it was tried.

    Args:
        contract: the output of the task.
        stage: where the files go. Every executor must be able to write there.
    """
    schema, parts = contract.arrow, stage.parts

    def write(batches: Batches) -> Iterator[pa.RecordBatch]:
        context, written, outputs = TaskContext.get(), 0, iter(task(batches))
        first = next(outputs, None)
        if context is None or first is None:
            return
        with parts.create(context.partitionId()) as part:
            with pq.ParquetWriter(part.file, schema, compression=COMPRESSION) as writer:
                for group in _row_groups(chain([first], outputs), contract):
                    phases.reached(phases.WORKER_WRITES, part.name)
                    writer.write_table(group)
                    written += group.num_rows
            size = part.file.tell()
        yield pa.RecordBatch.from_pydict({"name": [part.name], "rows": pa.array([written]), "size": pa.array([size])})

    found = map_in_arrow(rows, write, "name string, rows long, size long").collect()  # one row per task
    stage.keep([Part(part["name"], part["rows"], part["size"]) for part in found])
    return sum(part["rows"] for part in found)


def write_empty(contract: Contract, stage: NightStage) -> None:
    """Write a file without rows."""
    with stage.parts.create(0) as part:
        pq.write_table(contract.arrow.empty_table(), part.file)
        size = part.file.tell()
    stage.keep([Part(part.name, 0, size)])


def _row_groups(batches: Batches, contract: Contract) -> Iterator[pa.Table]:
    """Consecutive batches as tables that are large enough for a row group."""
    pending: list[pa.Table] = []
    for batch in batches:
        pending.append(pa.Table.from_batches([check_batch(batch, contract)]).cast(contract.arrow))
        rows, size = sum(map(len, pending)), sum(table.nbytes for table in pending)
        if rows >= _ROWS_PER_GROUP or size >= _BYTES_PER_GROUP:
            yield pa.concat_tables(pending)
            pending = []
    if pending:
        yield pa.concat_tables(pending)
