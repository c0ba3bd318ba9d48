"""A Delta table with one partition per night. The only room that knows delta-rs.

A night is replaced by one commit, which takes the files that were there out of the table and puts others in; Delta's
log decides which of two commits is first. Delta alone would let two runs both add a night that neither has seen. So
each commit also carries the number of the run as a transaction of the night, and of two commits that replace the same
one, Delta refuses the second.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa

from afm_core.errors import ForeignFolderError, MachineError
from afm_core.storage.locations import Location
from afm_core.storage.stored_objects import republished, unreachable
from pipelines.contracts import MODEL
from pipelines.logs.sources import PARTITION
from pipelines.scoring.published.store import Part

_TRIES = 10
_CLIENT_OPTIONS = {
    "connect_timeout": "5s",
    "max_retries": "3",
    "retry_timeout": "10s",
    "allow_http": "true",
}
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


def published_nights(root: Location) -> list[date]:
    """The nights in the table, oldest first; none where there is no table.

    Raises:
        ForeignFolderError: there is a table of something else.
    """
    with _one_line(root):
        table = _opened(root)
        if table is None:
            return []
        _require_nights(root, table)
        return sorted(date.fromisoformat(entry[PARTITION]) for entry in table.partitions())


def run_of(root: Location, night: date) -> int | None:
    """The number of the run that published a night last; 0 where none has, None where there is no table.

    Raises:
        ForeignFolderError: there is a table of something else.
    """
    with _one_line(root):
        table = _opened(root)
        if table is None:
            return None
        _require_nights(root, table)
        return _run_in(table, night)


def create_table(root: Location, schema: pa.Schema) -> None:
    """Create a table without nights, with the columns of one, if no other run has just done so.

    Raises:
        MachineError: the storage does not answer, or does not let us write.
    """
    with _one_line(root):
        _create(root, schema)


def replace_night(
    root: Location,
    night: date,
    schema: pa.Schema,
    files: Sequence[tuple[Part, int]],
    run: int,
    before: int,
    metadata: Mapping[str, str],
) -> None:
    """Let a night consist of these files, in one commit.

    Columns that the table does not have are added to it, and those that the night does not have stay.

    Args:
        schema: the columns of the files.
        files: files in the partition of the night, each with the time of its last change in milliseconds since 1970.
        run: the number of this run, greater than `before`.
        before: what `run_of` returned when the run began.
        metadata: what to write into the commit.

    Raises:
        RepublishedError: another run has published the night since.
        ForeignFolderError: a column of the table has another type.
        MachineError: the storage does not answer, or does not let us write.
    """
    from deltalake import CommitProperties, Transaction
    from deltalake.exceptions import CommitFailedError, DeltaError
    from deltalake.transaction import AddAction

    folder = f"{PARTITION}={night}"
    actions: list[Any] = [
        AddAction(
            f"{folder}/{part.name}",
            part.size,
            {PARTITION: str(night)},
            changed,
            True,
            json.dumps({"numRecords": part.rows}),
        )
        for part, changed in files
    ]
    commit = CommitProperties(dict(metadata), app_transactions=[Transaction(_name_of(night), run)])
    with _one_line(root):
        for left in reversed(range(_TRIES)):
            table = _opened(root) or _create(root, schema)  # somebody may have removed it
            if _run_in(table, night) != before:
                raise republished(f"{root}: {folder}")
            try:
                table.create_write_transaction(
                    actions,
                    "overwrite",
                    _with_columns(root, table, schema),
                    [PARTITION],
                    [(PARTITION, "=", str(night))],
                    commit_properties=commit,
                )
                return
            except (DeltaError, OSError) as error:
                if _run_in(_opened(root), night) == run:
                    return  # the commit was made, and only its answer was lost, or what follows it failed
                if not left or not isinstance(error, CommitFailedError):
                    raise
                # else another run has published a night, perhaps this one


def _opened(root: Location) -> Any:
    """The newest version of the table, None where there is none."""
    from deltalake import DeltaTable
    from deltalake.exceptions import TableNotFoundError

    try:
        return DeltaTable(str(root), storage_options=_options(root))
    except TableNotFoundError:
        return None


def _create(root: Location, schema: pa.Schema) -> Any:
    from deltalake import DeltaTable, Schema
    from deltalake.exceptions import CommitFailedError, DeltaError

    if isinstance(root, Path):
        root.mkdir(parents=True, exist_ok=True)
    columns = [field.with_nullable(True) for field in schema]
    with_night = Schema.from_arrow(pa.schema([*columns, pa.field(PARTITION, pa.date32())]))
    try:
        return DeltaTable.create(
            str(root), with_night, mode="error", partition_by=[PARTITION], storage_options=_options(root)
        )
    except (CommitFailedError, DeltaError):  # another run has just created it
        table = _opened(root)
        if table is None:
            raise
        return table


def _with_columns(root: Location, table: Any, schema: pa.Schema) -> Any:
    """The columns of the table, and those of a night that it lacks."""
    from deltalake import Schema

    there = {field.name: field for field in table.schema().fields}
    night = Schema.from_arrow(pa.schema([field.with_nullable(True) for field in schema])).fields
    for field in night:
        if field.name in there and field.type != there[field.name].type:
            raise ForeignFolderError(
                f"{root}: column {field.name} is {there[field.name].type} in the table and {field.type} in the night; "
                "name another folder"
            )
    return Schema([*there.values(), *[field for field in night if field.name not in there]])


def _require_nights(root: Location, table: Any) -> None:
    names = [field.name for field in table.schema().fields]
    if table.metadata().partition_columns != [PARTITION] or MODEL not in names:
        raise ForeignFolderError(
            f"{root}: is a Delta table, but not one of nights: it is not partitioned by {PARTITION} alone, or has no "
            f"column {MODEL}; name another folder"
        )


def _run_in(table: Any, night: date) -> int:
    return 0 if table is None else table.transaction_version(_name_of(night)) or 0


def _name_of(night: date) -> str:
    return f"attentional-fm/{PARTITION}={night}"


def _options(root: Location) -> dict[str, str]:
    """Credentials and endpoint come from the environment, as for bundles; see `afm_core.storage.object_store`."""
    return {} if isinstance(root, Path) or root.scheme == "hdfs" else _CLIENT_OPTIONS


@contextmanager
def _one_line(root: Location) -> Iterator[None]:
    try:
        from deltalake.exceptions import DeltaError
    except ImportError as error:
        raise MachineError(f"{root}: a Delta table needs the package deltalake; install the extra delta") from error
    try:
        yield
    except OSError as error:
        raise unreachable(str(root), OSError(_COLOURS.sub("", str(error)))) from error
    except DeltaError as error:
        reason = " ".join(_COLOURS.sub("", str(error)).split())[:200]
        raise MachineError(f"{root}: the Delta table cannot be read or written: {reason}") from error
