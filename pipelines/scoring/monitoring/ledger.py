"""The ledger: what every run did to every night, a Parquet file a run, in a folder that Spark reads past."""

from dataclasses import asdict, dataclass
from datetime import date, datetime
from pathlib import Path
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq

LEDGER = "_ledger"

SCHEMA = pa.schema(
    [
        pa.field("started", pa.timestamp("us", "UTC"), nullable=False),
        pa.field("night", pa.date32(), nullable=False),
        pa.field("outcome", pa.string(), nullable=False),  # published, empty, refused, failed
        pa.field("reason", pa.string()),  # of the last two
        pa.field("model", pa.string()),
        pa.field("rows_in", pa.int64()),
        pa.field("rejected", pa.int64()),
        pa.field("scored", pa.int64()),
        pa.field("mean_score", pa.float64()),
        pa.field("unknown", pa.map_(pa.string(), pa.float64())),  # share by field
        pa.field("drift", pa.map_(pa.string(), pa.float64())),  # population stability index by field, and of the score
        pa.field("drifted", pa.list_(pa.string())),  # those beyond the limit
        pa.field("seconds", pa.float64(), nullable=False),
    ]
)


@dataclass(frozen=True)
class LedgerEntry:
    """One row of the ledger."""

    started: datetime
    night: date
    outcome: str
    reason: str | None
    model: str | None
    rows_in: int | None
    rejected: int | None
    scored: int | None
    mean_score: float | None
    unknown: dict[str, float]
    drift: dict[str, float]
    drifted: list[str]
    seconds: float


def write_entry(scores: Path, entry: LedgerEntry) -> None:
    """Add a row; a file of its own, put in place whole."""
    folder = scores / LEDGER
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{entry.started:%Y%m%dT%H%M%S%f}-{uuid4().hex[:8]}.parquet"
    row = {**asdict(entry), "unknown": list(entry.unknown.items()), "drift": list(entry.drift.items())}
    unfinished = target.with_name(f".{target.name}")
    pq.write_table(pa.Table.from_pylist([row], schema=SCHEMA), unfinished)
    unfinished.rename(target)


def read_ledger(scores: Path) -> list[LedgerEntry]:
    """All rows, oldest first."""
    files = sorted(file for file in (scores / LEDGER).glob("*.parquet") if not file.name.startswith("."))
    rows = [row for file in files for row in pq.read_table(file, schema=SCHEMA).to_pylist()]
    return [LedgerEntry(**{**row, "unknown": dict(row["unknown"]), "drift": dict(row["drift"])}) for row in rows]
