"""Prepared datasets that a test changes."""

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from afm_core.storage.checksum import file_sha256
from pipelines.dataset import CHECKSUMS_FILE, MANIFEST_FILE


def change_rows(dataset: Path, split: str, change: Callable[[pa.Table], pa.Table]) -> None:
    """Replace the rows of every file of a split, as if the dataset had been prepared so."""
    files = sorted((dataset / split).glob("*.parquet"))
    for file in files:
        table = change(pq.read_table(file))
        pq.write_table(table, file, compression="zstd", row_group_size=len(table))
    checksums = json.loads((dataset / CHECKSUMS_FILE).read_text())
    checksums[split] = [file_sha256(file) for file in files]
    (dataset / CHECKSUMS_FILE).write_text(json.dumps(checksums))
    change_manifest(dataset, checksums=file_sha256(dataset / CHECKSUMS_FILE))


def change_manifest(dataset: Path, **facts: object) -> None:
    """Replace keys of the manifest."""
    manifest = dataset / MANIFEST_FILE
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), **facts}))


def with_column(table: pa.Table, name: str, values: object) -> pa.Table:
    """The table with other values in one of its columns."""
    at = table.schema.get_field_index(name)
    return table.set_column(at, table.schema.field(name), pa.array(values, table.schema.field(name).type))
