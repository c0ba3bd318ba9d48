"""Fixtures that tests share; functions are in tests/support."""

import os
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
import torch
from pyspark.sql import SparkSession

from afm_core.settings import load_settings
from pipelines.simulation.simulate import Simulation, simulate
from pipelines.spark import spark_session
from tests.support.config import DAYS, EVENTS, NIGHT, write_config
from tests.support.field_kinds import Prepared, prepare_every_kind
from tests.support.jobs import Outcome, RunJob, exit_code, run_main
from tests.support.once import made_once
from tests.support.remote_stores import Store, hadoop_settings, hdfs_store, let_spark_find_connectors, s3_store
from tests.support.small import Small

if not torch.cuda.is_available():
    os.environ.setdefault("TRITON_INTERPRET", "1")  # before anything imports triton, which reads it then

# The JVMs of the tests' own processes live for seconds: the second compiler costs them more than it brings.
os.environ.setdefault("JDK_JAVA_OPTIONS", "-XX:TieredStopAtLevel=1")
let_spark_find_connectors()


@pytest.fixture(scope="session")
def shared_spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    """The one Spark session of a test run, on two threads. Jobs that run in this process share it."""
    log = tmp_path_factory.mktemp("spark") / "spark.log"
    with spark_session("tests", log, "local[2]") as session:
        session.conf.set("spark.sql.shuffle.partitions", "2")
        yield session


@pytest.fixture
def spark(shared_spark: SparkSession) -> Iterator[SparkSession]:
    """The shared session, with nothing cached by other tests."""
    shared_spark.catalog.clearCache()
    partitions = shared_spark.conf.get("spark.sql.shuffle.partitions")
    yield shared_spark
    shared_spark.catalog.clearCache()
    shared_spark.conf.set("spark.sql.shuffle.partitions", partitions or "2")


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory, shared_spark: SparkSession) -> Iterator[Store]:
    """A bucket that the shared session can read."""
    with s3_store(tmp_path_factory.mktemp("s3")) as store, hadoop_settings(shared_spark, store.settings):
        yield store


@pytest.fixture(scope="session")
def hdfs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """An HDFS that the shared session can read."""
    with hdfs_store(tmp_path_factory.mktemp("hdfs")) as store:
        yield store


@pytest.fixture
def run_job(capfd: pytest.CaptureFixture[str], shared_spark: SparkSession) -> RunJob:
    """Run a job as its command line would, and return its exit code and what it printed."""

    def run(name: str, config: Path, *arguments: str) -> Outcome:
        capfd.readouterr()
        code = exit_code(name, config, *arguments)
        printed = capfd.readouterr()
        return Outcome(code, printed.out, printed.err)

    return run


@pytest.fixture(scope="session")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four days of simulated logs: three to learn from, the last to score."""
    return made_once(
        tmp_path_factory,
        "logs",
        lambda folder: simulate(Simulation(folder, date(2026, 1, 1), DAYS, EVENTS, users=60, apps=40, seed=1)),
    )


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory, logs: Path, shared_spark: SparkSession) -> Small:
    """Prepared, trained, evaluated and scored. Tests in several processes read it; those that write make their own."""

    def make(folder: Path) -> None:
        config = write_config(folder, logs)
        for name, *arguments in (("prepare",), ("train",), ("evaluate",), ("score", "--date", NIGHT)):
            run_main(name, config, *arguments)

    folder = made_once(tmp_path_factory, "small", make)
    config = folder / "settings.yaml"
    return Small(folder, config, load_settings(config))


@pytest.fixture(scope="session")
def kinds(tmp_path_factory: pytest.TempPathFactory, shared_spark: SparkSession) -> Prepared:
    """A dataset with every kind of field. Tests add nights, each on days of its own."""
    return prepare_every_kind(tmp_path_factory.mktemp("kinds"))


@pytest.fixture(autouse=True)
def _unranked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests run as a single process even when a launcher of ranks started them."""
    of_torch = {"RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"}
    for name in [name for name in os.environ if name.startswith("HOROVOD_") or name in of_torch]:
        monkeypatch.delenv(name)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="also run the tests that take minutes")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--long"):
        return
    for item in items:
        if item.get_closest_marker("long"):
            item.add_marker(pytest.mark.skip(reason="takes minutes; run with --long"))
