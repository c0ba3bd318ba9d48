"""The ledger: what every run did with every night, in small Parquet files.

It lies in `_ledger/` beside the nights, a name that Spark does not read as data. A file appears as a whole and never
changes. Each row begins as a file of its own; `ledger_months` gathers them. A row that is in two files, because a
process was killed in between, is one row.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date, datetime
from typing import Any
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq

from afm_core.storage.anywhere import file_names, read_file
from afm_core.storage.atomic import replacing
from afm_core.storage.locations import Location
from afm_core.storage.paths import make_folder
from pipelines import phases
from pipelines.console import messages

LEDGER = "_ledger"
_TRIES = 100

SCHEMA = pa.schema(
    [
        pa.field("started", pa.timestamp("us", "UTC"), nullable=False),
        pa.field("night", pa.date32(), nullable=False),
        pa.field("outcome", pa.string(), nullable=False),  # published, empty, refused, failed
        pa.field("reason", pa.string()),  # why a night was refused or failed
        pa.field("model", pa.string()),
        pa.field("rows_in", pa.int64()),
        pa.field("rejected", pa.int64()),
        pa.field("scored", pa.int64()),
        pa.field("mean_score", pa.float64()),
        pa.field("unknown", pa.map_(pa.string(), pa.float64())),  # share by field
        pa.field("drift", pa.map_(pa.string(), pa.float64())),  # population stability index by field, and of the score
        pa.field("drifted", pa.list_(pa.string())),  # fields above the limit
        pa.field("seconds", pa.float64(), nullable=False),
    ]
)


@dataclass(frozen=True)
class NightFigures:
    """The numbers that the ledger records of a published night; None where they have no meaning."""

    rows_in: int | None = None
    rejected: int | None = None
    scored: int | None = None
    """Rows that were written."""
    mean_score: float | None = None
    unknown: dict[str, float] = field(default_factory=dict)
    """Share of rows with a missing or unseen value, by field."""
    drift: dict[str, float] = field(default_factory=dict)
    """Population stability index by field, and of the score."""
    drifted: list[str] = field(default_factory=list)
    """Fields above the limit."""


@dataclass(frozen=True)
class LedgerEntry:
    """One row of the ledger."""

    started: datetime
    night: date
    outcome: str
    reason: str | None
    model: str | None
    figures: NightFigures
    seconds: float


def write_entry(nights: Location, entry: LedgerEntry) -> None:
    """Add a row to the ledger of a folder of nights, as a file of its own that appears as a whole.

    Raises:
        OSError: it cannot be written.
        MachineError: remote storage cannot be reached, or does not let us write.
    """
    folder = nights / LEDGER
    make_folder(folder)
    write_entries(folder / f"{entry.started:%Y%m%dT%H%M%S%f}-{uuid4().hex[:8]}.parquet", [entry])


def write_entries(file: Location, entries: Iterable[LedgerEntry]) -> None:
    """Write rows as a file of the ledger.

    Raises:
        OSError: it cannot be written.
        MachineError: remote storage cannot be reached, or does not let us write.
    """
    table = pa.Table.from_pylist([_row(entry) for entry in entries], schema=SCHEMA)
    with replacing(file) as unfinished:
        phases.reached(phases.LEDGER_FILE_BEGUN, unfinished)
        pq.write_table(table, unfinished)


def read_ledger(nights: Location) -> list[LedgerEntry]:
    """All rows, oldest first. A file that cannot be read is reported and left out: it must fail no night.

    Raises:
        MachineError: remote storage cannot be reached, or does not let us read.
    """
    return merged(read_files(nights / LEDGER, _report_damaged).values())


def merged(files: Iterable[Sequence[LedgerEntry]]) -> list[LedgerEntry]:
    """The rows of several files, each once, oldest first."""
    rows = {repr(row): row for file in files for row in file}
    return sorted(rows.values(), key=lambda row: row.started)


def read_files(folder: Location, damaged: Callable[[Location], None]) -> dict[str, list[LedgerEntry]]:
    """The rows of each file, while others write, gather and remove files; also of those that were removed meanwhile.

    Files are listed until nothing has changed in between: a row moves to another file before its own is removed.

    Args:
        damaged: called with each file that does not hold rows.

    Raises:
        MachineError: remote storage cannot be reached, or does not let us read.
    """
    read: dict[str, list[LedgerEntry]] = {}
    names = _names(folder)
    for _ in range(_TRIES):
        for name in names:
            if name not in read:
                read[name] = _read(folder / name, damaged)
        before, names = names, _names(folder)
        if names == before:
            break
    return read


def _names(folder: Location) -> list[str]:
    return [name for name in file_names(folder) if name.endswith(".parquet")]


def _read(file: Location, damaged: Callable[[Location], None]) -> list[LedgerEntry]:
    try:
        content = read_file(file)
    except FileNotFoundError:
        content = None
    except OSError as error:
        messages.print(f"  {file} cannot be read ({error.strerror}); its rows are left out of the plot")
        return []
    if content is None:  # gathered or removed since it was listed
        return []
    try:
        rows: list[dict[str, Any]] = pq.read_table(pa.BufferReader(content), schema=SCHEMA).to_pylist()
        return [_entry(row) for row in rows]
    except (pa.ArrowException, OSError, TypeError):
        damaged(file)
        return []


def _report_damaged(file: Location) -> None:
    messages.print(f"  {file} is damaged and left out; the next run of nights there sets it aside")


def _row(entry: LedgerEntry) -> dict[str, Any]:
    row: dict[str, Any] = {**asdict(entry), **asdict(entry.figures)}
    row |= {name: list(row[name].items()) for name in ("unknown", "drift")}
    return {name: row[name] for name in SCHEMA.names}


def _entry(row: dict[str, Any]) -> LedgerEntry:
    figures = {name: row[name] for name in NightFigures.__dataclass_fields__}
    figures |= {name: dict(row[name]) for name in ("unknown", "drift")}
    names = ("started", "night", "outcome", "reason", "model", "seconds")
    return LedgerEntry(**{name: row[name] for name in names}, figures=NightFigures(**figures))
