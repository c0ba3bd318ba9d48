"""Nights of a few rows in every kind of place where nights are published."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql.types import DataType, FloatType, StringType, StructField

from afm_core.settings import Settings
from afm_core.storage.anywhere import read_file
from afm_core.storage.locations import Location, to_location
from pipelines.contract_checks import Contract
from pipelines.contracts import scores
from pipelines.scoring.published.delta_nights import DeltaNights
from pipelines.scoring.published.store import NightStage, NightStore, Part

CONTRACT = scores(["event_id"])


def with_column(name: str, data_type: DataType) -> Contract:
    """Scores with one more column."""
    return CONTRACT.with_columns("scores", StructField(name, data_type))


TEXT, NUMBER = with_column("page", StringType()), with_column("page", FloatType())


def write_rows(stage: NightStage, model: str, parts: int = 2, contract: Contract = CONTRACT) -> list[Part]:
    """Files of three rows each, all of one model; returns them, not yet chosen."""
    written = []
    for task in range(parts):
        columns = {"event_id": ["1", "2", "3"], "score": [0.1, 0.2, 0.3], "model": [model] * 3}
        columns |= {name: [None] * 3 for name in contract.names if name not in columns}
        table = pa.table(columns, schema=contract.arrow)
        with stage.parts.create(task) as part:
            pq.write_table(table, part.file)
            size = part.file.tell()
        written.append(Part(part.name, table.num_rows, size))
    return written


def fill(
    store: NightStore,
    night: date,
    model: str,
    settings: Settings,
    contract: Contract = CONTRACT,
    meanwhile: Callable[[], None] = lambda: None,
) -> None:
    """Publish a night of six rows.

    Args:
        meanwhile: called when the rows are written and not yet published.
    """
    with store.staged(night, contract) as stage:
        stage.keep(write_rows(stage, model, contract=contract))
        meanwhile()
        stage.describe(f'{{"model": "{model}"}}', settings)


def models(store: NightStore, night: date, version: int | None = None) -> list[str | None]:
    """The models of the rows that readers find for a night."""
    tables = [pq.read_table(pa.BufferReader(content)) for content in _files(store, night, version)]
    return sorted(model for table in tables for model in table["model"].to_pylist())


def _files(store: NightStore, night: date, version: int | None) -> Sequence[bytes]:
    if isinstance(store, DeltaNights):
        uris = table_of(store, version).file_uris([("dt", "=", str(night))])
        contents = [read_file(to_location(uri)) for uri in uris]
        assert all(contents), "the table names only files that are there"
        return [content for content in contents if content]
    assert isinstance(store.path, Path)
    return [file.read_bytes() for file in (store.path / f"dt={night}").resolve().glob("*.parquet")]


def table_of(store: NightStore, version: int | None = None) -> Any:
    """The Delta table as delta-rs opens it."""
    from deltalake import DeltaTable

    options = {"allow_http": "true"} if str(store.path).startswith("s3:") else {}
    return DeltaTable(str(store.path), version=version, storage_options=options)


def fail(store: NightStore, night: date) -> None:
    """Begin to publish a night, and fail."""
    with suppress(RuntimeError), store.staged(night, CONTRACT) as stage:
        stage.keep(write_rows(stage, "half"))
        raise RuntimeError


def rows_of(path: Location, night: str, version: int | None = None) -> pa.Table:
    """The rows of a night of a Delta table, sorted."""
    parts = [
        pq.read_table(pa.BufferReader(content))
        for content in _files(DeltaNights(path), date.fromisoformat(night), version)
    ]
    return pa.concat_tables(parts).sort_by("event_id").combine_chunks()
