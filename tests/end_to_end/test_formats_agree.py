"""The same rows give the same dataset from every format, and a night sees them as the training did."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from pyspark.sql import SparkSession

from afm_core.settings import Settings
from pipelines.dataset import Dataset
from pipelines.encoding.encoder import Encoding, encode
from pipelines.encoding.worker_encoder import WorkerEncoder, looked_up_in_workers
from pipelines.logs.checking import check_logs
from pipelines.logs.log_columns import LogColumns
from pipelines.logs.reading import read_logs
from pipelines.preparation.prepare import prepare
from tests.support.decoding import SPLITS
from tests.support.reading import settings_of
from tests.support.typed_tables import FIELDS as COLUMNS
from tests.support.typed_tables import TABLES, WRITERS, Written, generated

FIELDS: list[Any] = [
    *COLUMNS,
    {"name": "number", "kind": "numeric", "column": "double"},
    {"name": "logarithm", "kind": "numeric", "column": "whole", "scale": "log1p", "missing": "mean"},
    {"name": "bucket", "kind": "numeric", "column": "exact", "scale": "quantiles", "buckets": 3},
    {"name": "hashed", "kind": "hashed", "column": "text", "buckets": 7},
    {"name": "hour", "kind": "time", "of": "time", "part": "hour"},
    {"name": "both", "kind": "crossed", "of": ["flag", "day"], "buckets": 5},
    {"name": "times", "kind": "frequency", "of": ["flag"]},
]

Rows = list[tuple[tuple[int, ...], bytes]]


def prepared(spark: SparkSession, of_format: Settings) -> Dataset:
    prepare(spark, of_format)
    return Dataset.open(of_format.dataset.path)


def as_trained(dataset: Dataset) -> Rows:
    """Ids and the bits of each x_i, without the training split, whose rows do not count themselves."""
    feature_map, rows = dataset.feature_map, Rows()
    for split in SPLITS[1:]:
        table = pq.read_table(dataset.path / split)
        if len(table):
            rows += _rows(table.select(feature_map.id_columns), table.select(feature_map.x_columns))
    return rows


def as_scored(spark: SparkSession, of_format: Settings, dataset: Dataset) -> Rows:
    """As a night encodes all rows, half of it in Spark and half in its workers."""
    feature_map, columns = dataset.feature_map, LogColumns.of(of_format, labelled=False)
    texts = tuple(ids.name for ids in looked_up_in_workers(feature_map))
    night = read_logs(spark, of_format.logs, columns, of_format.logs.paths[0])
    accepted = check_logs(night, of_format, columns, of_format.logs.where).accepted
    encoded = encode(accepted, Encoding(feature_map, dataset.path), [], texts)
    worker, rows = WorkerEncoder(feature_map, dataset.features_path, texts), Rows()
    for batch in pa.Table.from_pandas(encoded.toPandas()).to_batches():
        ids, x = worker.encode(batch)
        rows += [(tuple(row), bits.tobytes()) for row, bits in zip(ids.tolist(), x, strict=True)]
    return rows


def _rows(ids: pa.Table, x: pa.Table) -> Rows:
    bits = np.stack([column.to_numpy() for column in x.columns], axis=1)
    ids_of_rows = zip(*(column.to_pylist() for column in ids.columns), strict=True)
    return [(row, each.tobytes()) for row, each in zip(ids_of_rows, bits, strict=True)]


@pytest.mark.long  # test_partitioning.py compares two formats, pipelines/logs/test_formats_agree.py events of all
def test_datasets_and_nights_agree(spark: SparkSession, tmp_path: Path) -> None:
    done, compared = 0, 0

    def written(table: pa.Table, name: str, as_: Written) -> Settings:
        folder = tmp_path / f"{done} {name}"
        night = folder / "logs" / "dt=2026-01-01"
        night.mkdir(parents=True)
        as_.write(table, night / "logs")
        return settings_of(folder, folder / "logs", FIELDS, max_rejected=1.0, **as_.logs)

    @generated(6)
    @given(TABLES)
    def agree(table: pa.Table) -> None:
        nonlocal done, compared
        done += 1
        first: Dataset | None = None
        for name in WRITERS:
            of_format = written(table, name, WRITERS[name])
            dataset = prepared(spark, of_format)
            first = first or dataset
            assert dataset.manifest.digest == first.manifest.digest, name
            assert dataset.feature_map == first.feature_map, name
            trained, scored = as_trained(dataset), as_scored(spark, of_format, dataset)
            assert len(scored) == dataset.manifest.rows_in - sum(dataset.manifest.rejected.values())
            assert not set(trained) - set(scored), name
            compared += len(set(trained))

    agree()
    assert compared >= len(WRITERS)
