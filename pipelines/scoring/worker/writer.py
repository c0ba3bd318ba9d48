"""Writing the scores of a night from the Python workers that computed them.

Sending them back to the JVM would cost as much per row as the model does. Only rejected rows go back, so that nothing
has to be read a second time for them.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from uuid import uuid4

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyspark import TaskContext
from pyspark.sql import DataFrame
from pyspark.sql.pandas.types import to_arrow_schema
from pyspark.sql.types import LongType, StringType, StructField, StructType

from pipelines import phases
from pipelines.contract_checks import Contract, check_batch, check_frame
from pipelines.contracts import REJECT_TABLE
from pipelines.logs.rules import REJECT
from pipelines.parquet_files import COMPRESSION
from pipelines.scoring.published.store import NightStage, OpenPart, Part, PartFiles
from pipelines.spark import Batches, map_in_arrow

_CHOSEN = "attentional_fm.chosen"  # a local property of Spark jobs: whose files are chosen
_ROWS_PER_GROUP, _BYTES_PER_GROUP = 1 << 20, 1 << 27
_TOTALS = StructType(
    [StructField("name", StringType()), *[StructField(name, LongType()) for name in ("rows", "size", "rejected")]]
)
# One row for each task with its totals, and one for each rejected row, in which these are null.
_RETURNED = StructType([*_TOTALS, *[StructField(field.name, field.dataType) for field in REJECT_TABLE.schema]])


@dataclass(frozen=True)
class Written:
    """What the tasks have done with their rows."""

    rows: int
    """Rows in the files."""
    rejected: int
    rejects: DataFrame
    """Contract `REJECT_TABLE`, cached. What is lost with an executor is read again, but neither scored nor counted."""


def write_parts(rows: DataFrame, task: Callable[[Batches], Batches], contract: Contract, stage: NightStage) -> Written:
    """Apply `task` to the rows and write its output as Parquet, one file per task.

    Only the files of tasks that succeeded are published, one for each, however often it was tried.

    Args:
        rows: where there is a column `REJECT`, a struct of contract `REJECT_TABLE`, the rows in which it is not null
            are returned and not given to the task, which gets a batch even if none of its rows is left.
        contract: the output of the task, one batch for each that it gets; batches without rows may lack columns.
        stage: where the files go. Every executor must be able to write there.
    """
    parts, has_rejects, name_of_run = stage.parts, REJECT in rows.columns, uuid4().hex

    def write(batches: Batches) -> Iterator[pa.RecordBatch]:
        context, written, name, size = TaskContext.get(), 0, None, 0
        if context is None:
            return
        rejected = _Rejected()
        accepted = rejected.taken_from(batches) if has_rejects else batches
        if context.getLocalProperty(_CHOSEN) == name_of_run:  # only rejected rows that were lost are wanted
            for _ in accepted:
                yield from rejected.drained()
            yield from rejected.drained()
            return
        with ExitStack() as stack:
            part: _OpenTable | None = None
            for output in task(accepted):
                if output.num_rows:
                    part = part or stack.enter_context(_open_table(parts, context.partitionId(), contract))
                    part.add(output)
                    written += output.num_rows
                yield from rejected.drained()
            yield from rejected.drained()  # of last batches for which the task has returned nothing
            if part:
                part.close()
                name, size = part.name, part.size
        totals = {"name": name, "rows": written, "size": size, "rejected": rejected.rows}
        yield _returned({column: pa.array([value]) for column, value in totals.items()})

    returned = map_in_arrow(rows, write, _RETURNED).persist()
    totals = returned.where("rows IS NOT NULL").select(*_TOTALS.names).collect()  # one row per task
    stage.keep([Part(part["name"], part["rows"], part["size"]) for part in totals if part["name"] is not None])
    rows.sparkSession.sparkContext.setLocalProperty(_CHOSEN, name_of_run)
    rejects = check_frame(returned.where("rows IS NULL"), REJECT_TABLE)
    return Written(sum(part["rows"] for part in totals), sum(part["rejected"] for part in totals), rejects)


def write_empty(contract: Contract, stage: NightStage) -> None:
    """Write a file without rows."""
    with stage.parts.create(0) as part:
        pq.write_table(contract.arrow.empty_table(), part.file)
        size = part.file.tell()
    stage.keep([Part(part.name, 0, size)])


class _Rejected:
    """The rejected rows of a task, kept until they can be returned: those of one batch."""

    def __init__(self) -> None:
        self.rows, self._waiting = 0, list[pa.RecordBatch]()

    def taken_from(self, batches: Batches) -> Iterator[pa.RecordBatch]:
        """The batches without their rejected rows."""
        for batch in batches:
            rejects = batch.column(REJECT)
            if rejects.null_count == len(rejects):
                yield batch
                continue
            broken = rejects.drop_null()
            self.rows += len(broken)
            self._waiting.append(_returned(dict(zip(REJECT_TABLE.names, broken.flatten(), strict=True))))
            yield batch.filter(pc.is_null(rejects))

    def drained(self) -> Iterator[pa.RecordBatch]:
        """What is waiting to be returned."""
        waiting, self._waiting = self._waiting, []
        yield from waiting


class _OpenTable:
    """A Parquet file that batches are appended to, in row groups of a size that reads well."""

    def __init__(self, part: OpenPart, contract: Contract) -> None:
        self.name, self.size = part.name, 0
        self._part, self._contract, self._pending = part, contract, list[pa.Table]()
        self._writer = pq.ParquetWriter(part.file, contract.arrow, compression=COMPRESSION)

    def add(self, batch: pa.RecordBatch) -> None:
        """Append a batch of the contract."""
        table = pa.Table.from_batches([check_batch(batch, self._contract)]).cast(self._contract.arrow)
        self._pending.append(table)
        rows, size = sum(map(len, self._pending)), sum(table.nbytes for table in self._pending)
        if rows >= _ROWS_PER_GROUP or size >= _BYTES_PER_GROUP:
            self._write_group()

    def close(self) -> None:
        """Write what is left, and the footer."""
        if self._pending:
            self._write_group()
        self._writer.close()
        self.size = self._part.file.tell()

    def _write_group(self) -> None:
        phases.reached(phases.WORKER_WRITES, self.name)
        self._writer.write_table(pa.concat_tables(self._pending))
        self._pending = []


@contextmanager
def _open_table(parts: PartFiles, task: int, contract: Contract) -> Iterator[_OpenTable]:
    with parts.create(task) as part:
        yield _OpenTable(part, contract)


def _returned(columns: dict[str, pa.Array]) -> pa.RecordBatch:
    """A batch of the rows that tasks return; columns that are not given are null."""
    schema, rows = to_arrow_schema(_RETURNED), len(next(iter(columns.values())))
    arrays = [columns.get(field.name, pa.nulls(rows)).cast(field.type) for field in schema]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)
