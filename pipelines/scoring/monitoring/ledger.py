"""The ledger: what every run did with every night, one small Parquet file per row.

It lies in `_ledger/` beside the nights, a name that Spark does not read as data.
"""

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
    """Add a row to the ledger of a folder of nights, as a file of its own that appears as a whole."""
    folder = nights / LEDGER
    make_folder(folder)
    row: dict[str, Any] = {**asdict(entry), **asdict(entry.figures)}
    row |= {name: list(row[name].items()) for name in ("unknown", "drift")}
    with replacing(folder / f"{entry.started:%Y%m%dT%H%M%S%f}-{uuid4().hex[:8]}.parquet") as unfinished:
        phases.reached(phases.LEDGER_FILE_BEGUN, unfinished)
        pq.write_table(pa.Table.from_pylist([{name: row[name] for name in SCHEMA.names}], schema=SCHEMA), unfinished)


def read_ledger(nights: Location) -> list[LedgerEntry]:
    """All rows, oldest first. A file that cannot be read is reported and left out: it must fail no night."""
    folder = nights / LEDGER
    files = [folder / name for name in file_names(folder) if name.endswith(".parquet")]
    return [_entry(row) for file in files for row in _rows(file)]


def _rows(file: Location) -> list[dict[str, Any]]:
    try:
        content = pa.BufferReader(read_file(file) or b"")
        rows: list[dict[str, Any]] = pq.read_table(content, schema=SCHEMA).to_pylist()
    except (pa.ArrowException, OSError):
        messages.print(f"  {file} cannot be read and is left out of the plot; remove it if it is damaged")
        return []
    return rows


def _entry(row: dict[str, Any]) -> LedgerEntry:
    figures = {name: row[name] for name in NightFigures.__dataclass_fields__}
    figures |= {name: dict(row[name]) for name in ("unknown", "drift")}
    names = ("started", "night", "outcome", "reason", "model", "seconds")
    return LedgerEntry(**{name: row[name] for name in names}, figures=NightFigures(**figures))
