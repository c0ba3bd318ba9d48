"""Same input, settings and seed: same dataset, whatever the partitions, the processes and the retries."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import DataFrame

import pipelines.preparation.dataset_files
import pipelines.preparation.prepare
from afm_core.settings import load_settings
from pipelines.dataset import Dataset
from pipelines.preparation.prepare import prepare
from pipelines.spark import spark_session
from tests.conftest import Small, write_config


def prepared(small: Small, folder: Path, master: str) -> Dataset:
    settings = load_settings(write_config(folder, small.settings.logs.path))
    with spark_session("determinism", folder / "spark.log", master) as spark:
        prepare(spark, settings)
    return Dataset.open(settings.dataset.path)


def assert_same(one: Dataset, other: Dataset) -> None:
    assert one.manifest.digest == other.manifest.digest
    assert one.manifest.feature_map == other.manifest.feature_map
    for split in ("train", "valid", "test"):
        tables = [pq.read_table(dataset.path / split).sort_by("row_key") for dataset in (one, other)]
        assert tables[0].num_rows > 0
        assert tables[0].equals(tables[1])
        assert [file.read_bytes() for file in one.files(split)] == [file.read_bytes() for file in other.files(split)]


@pytest.mark.parametrize("master", ["local[1]", "local[2]", "local-cluster[2,1,1024]"])
def test_rows_are_identical_on_any_master(small: Small, tmp_path: Path, master: str) -> None:
    assert_same(prepared(small, tmp_path, master), Dataset.open(small.settings.dataset.path))


def fails_once(marker: Path) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """A pass-through for `mapInArrow` whose first task dies after its first batch."""

    def stage(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            yield batch
            try:
                marker.touch(exist_ok=False)
            except FileExistsError:
                continue
            raise RuntimeError("this task was made to fail once")

    return stage


@pytest.mark.parametrize("stage", ["read_logs", "with_negatives"])
def test_a_task_that_fails_and_is_retried_changes_nothing(
    small: Small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    original, marker = getattr(pipelines.preparation.prepare, stage), tmp_path / "failed"

    def failing(*arguments: object, **options: object) -> DataFrame:
        frame = original(*arguments, **options)
        return frame.mapInArrow(fails_once(marker), frame.schema)

    monkeypatch.setattr(pipelines.preparation.prepare, stage, failing)
    assert_same(prepared(small, tmp_path, "local[2,3]"), Dataset.open(small.settings.dataset.path))
    assert marker.exists(), "nothing failed, so nothing was tested"


def test_a_writer_that_dies_after_a_file_and_is_retried_changes_nothing(
    small: Small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    marker = tmp_path / "failed"

    class DyingWriter(pipelines.preparation.dataset_files._FileWriter):
        def _write(self, key: tuple[int, int], pieces: list[pa.RecordBatch]) -> pa.RecordBatch:
            written = super()._write(key, pieces)
            try:
                marker.touch(exist_ok=False)
            except FileExistsError:
                return written
            raise RuntimeError("this task was made to fail once")

    monkeypatch.setattr(pipelines.preparation.dataset_files, "_FileWriter", DyingWriter)
    assert_same(prepared(small, tmp_path, "local[2,3]"), Dataset.open(small.settings.dataset.path))
    assert marker.exists(), "nothing failed, so nothing was tested"


def test_a_preparation_that_dies_leaves_the_old_dataset_and_the_rerun_repairs(
    small: Small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared(small, tmp_path, "local[2]")
    with monkeypatch.context() as patch:
        patch.setattr(pipelines.preparation.prepare, "write_splits", lambda *arguments: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            prepared(small, tmp_path, "local[2]")
    assert_same(Dataset.open(tmp_path / "dataset"), Dataset.open(small.settings.dataset.path))
    assert_same(prepared(small, tmp_path, "local[2]"), Dataset.open(small.settings.dataset.path))
