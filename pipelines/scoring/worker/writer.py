"""Writing the scores of a night from the Python workers that computed them.

Sending them back to the JVM would cost as much per row as the model does.
"""

import shutil
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark import TaskContext
from pyspark.sql import DataFrame

from pipelines import phases
from pipelines.contract_checks import Contract, check_batch
from pipelines.parquet_files import COMPRESSION
from pipelines.spark import Batches, map_in_arrow

_UNFINISHED = "_unfinished"  # Spark and pyarrow do not read names that begin with an underscore
_ROWS_PER_GROUP, _BYTES_PER_GROUP = 1 << 20, 1 << 27


def write_parts(rows: DataFrame, task: Callable[[Batches], Batches], contract: Contract, folder: Path) -> int:
    """Apply `task` to the rows and write its output as Parquet, one file per task. Returns the number of rows written.

    A task that is retried replaces its file, and one that is interrupted leaves none.

    Args:
        contract: the output of the task.
        folder: an empty folder on a file system that every executor sees.
    """
    schema, target = contract.arrow, str(folder.absolute())
    run = uuid4().hex[
        :8
    ]  # in every name: a reader that listed another version of the night must not find its files here
    (folder / _UNFINISHED).mkdir()

    def write(batches: Batches) -> Iterator[pa.RecordBatch]:
        context, written, outputs = TaskContext.get(), 0, iter(task(batches))
        first = next(outputs, None)
        if context is None or first is None:
            return
        name = f"part-{context.partitionId():05d}-{run}.parquet"
        unfinished = Path(target) / _UNFINISHED / f"{uuid4().hex}-{name}"
        with pq.ParquetWriter(unfinished, schema, compression=COMPRESSION) as writer:
            for group in _row_groups(chain([first], outputs), contract):
                phases.reached(phases.WORKER_WRITES, unfinished)
                writer.write_table(group)
                written += group.num_rows
        unfinished.replace(Path(target) / name)
        yield pa.RecordBatch.from_pydict({"rows": pa.array([written])})

    counts = map_in_arrow(rows, write, "rows long").collect()  # one row per task
    shutil.rmtree(folder / _UNFINISHED, ignore_errors=True)  # a task that was given up may still be writing there
    return sum(count["rows"] for count in counts)


def write_empty(contract: Contract, folder: Path) -> None:
    """Write a file without rows into a folder, which is created if necessary."""
    folder.mkdir(exist_ok=True)
    pq.write_table(contract.arrow.empty_table(), folder / "part-00000.parquet")


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
