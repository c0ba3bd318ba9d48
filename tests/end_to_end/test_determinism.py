"""Same input, settings and seed: same dataset, whatever the partitions, the processes and the retries."""

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from pyspark.sql import DataFrame, SparkSession

import pipelines.preparation.build_instances
import pipelines.preparation.dataset_files
import pipelines.preparation.fit_logs
import pipelines.preparation.prepare
from afm_core.settings import load_settings
from pipelines.dataset import Dataset
from pipelines.preparation.prepare import prepare
from tests.support.config import write_config
from tests.support.decoding import assert_same_dataset
from tests.support.files import ROOT
from tests.support.small import Small

ON_MASTER = """
import sys
from pathlib import Path
from afm_core.settings import load_settings
from pipelines.preparation.prepare import prepare
from pipelines.spark import spark_session

config, master = Path(sys.argv[1]), sys.argv[2]
with spark_session("determinism", config.parent / "spark.log", master) as spark:
    assert spark.sparkContext.master.startswith(master.rstrip("]")), spark.sparkContext.master
    prepare(spark, load_settings(config))
"""


def prepared(small: Small, folder: Path, spark: SparkSession) -> Dataset:
    settings = load_settings(write_config(folder, small.settings.logs.path))
    prepare(spark, settings)
    return Dataset.open(settings.dataset.path)


@pytest.mark.long  # test_cluster.py prepares on a cluster whose executor is killed, all other tests on two threads
@pytest.mark.parametrize("master", ["local[1]", "local-cluster[2,1,1024]"])
def test_rows_are_identical_on_any_master(small: Small, tmp_path: Path, master: str) -> None:
    """In a process of its own: this is about starting Spark. All other tests compare with two threads."""
    config = write_config(tmp_path, small.settings.logs.path)
    subprocess.run([sys.executable, "-c", ON_MASTER, str(config), master], check=True, cwd=ROOT, timeout=300)
    assert_same_dataset(Dataset.open(tmp_path / "dataset"), small.dataset)


def test_rows_are_identical_whatever_the_partitions(small: Small, tmp_path: Path, spark: SparkSession) -> None:
    spark.conf.set("spark.sql.shuffle.partitions", "5")
    spark.conf.set("spark.sql.files.maxPartitionBytes", "4096")
    try:
        assert_same_dataset(prepared(small, tmp_path, spark), small.dataset)
    finally:
        spark.conf.unset("spark.sql.files.maxPartitionBytes")


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


@pytest.mark.parametrize(
    ("module", "stage"),
    [
        pytest.param(pipelines.preparation.fit_logs, "read_logs", marks=pytest.mark.long),
        (pipelines.preparation.build_instances, "with_negatives"),
    ],
    ids=["read_logs", "with_negatives"],
)
def test_a_task_that_fails_and_is_retried_changes_nothing(
    small: Small, tmp_path: Path, spark: SparkSession, monkeypatch: pytest.MonkeyPatch, module: object, stage: str
) -> None:
    original, marker = getattr(module, stage), tmp_path / "failed"

    def failing(*arguments: object, **options: object) -> DataFrame:
        frame = original(*arguments, **options)
        return frame.mapInArrow(fails_once(marker), frame.schema)

    monkeypatch.setattr(module, stage, failing)
    assert_same_dataset(prepared(small, tmp_path, spark), small.dataset)
    assert marker.exists(), "nothing failed, so nothing was tested"


def test_a_writer_that_dies_after_a_file_and_is_retried_changes_nothing(
    small: Small, tmp_path: Path, spark: SparkSession, monkeypatch: pytest.MonkeyPatch
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
    assert_same_dataset(prepared(small, tmp_path, spark), small.dataset)
    assert marker.exists(), "nothing failed, so nothing was tested"


def test_a_preparation_that_dies_leaves_the_old_dataset_and_the_rerun_repairs(
    small: Small, tmp_path: Path, spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(small.settings.dataset.path, tmp_path / "dataset")
    with monkeypatch.context() as patch:
        patch.setattr(pipelines.preparation.prepare, "write_splits", lambda *arguments: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            prepared(small, tmp_path, spark)
    assert_same_dataset(Dataset.open(tmp_path / "dataset"), small.dataset)
    assert_same_dataset(prepared(small, tmp_path, spark), small.dataset)
