"""Jobs that spark-submit has started, also in a YARN container."""

from pathlib import Path

import pytest
from pyspark.errors import PySparkException

from afm_core.errors import LogsError, SettingsError
from afm_core.settings import load_settings
from pipelines.spark_errors import one_line_errors
from pipelines.submission import place_of_spark_log, require_lasting_paths, yarn_application
from tests.support.config import write_config
from tests.support.jobs import exit_code

FAILED_START = """An error occurred while calling None.org.apache.spark.api.java.JavaSparkContext.
: org.apache.spark.SparkException: Application application_1_0001 failed 1 times due to AM Container
\tat org.apache.spark.scheduler.cluster.YarnClientSchedulerBackend.waitForApplication(Some.scala:99)
"""


@pytest.fixture
def in_a_container(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONTAINER_ID", "container_e17_1795773109285_0001_01_000001")
    monkeypatch.setenv("PYSPARK_GATEWAY_PORT", "1")


@pytest.mark.usefixtures("in_a_container")
def test_relative_paths_are_refused_in_a_container_and_all_at_once(tmp_path: Path) -> None:
    config = write_config(
        tmp_path,
        tmp_path / "logs",
        dataset={"path": "runs/dataset"},
        run={"path": "runs"},
        score={"logs": "hdfs:///logs", "path": "runs/scores", "bundle": "s3://shop/bundle"},
    )
    with pytest.raises(SettingsError) as refused:
        require_lasting_paths(load_settings(config))
    assert [line.partition(" is relative")[0] for line in refused.value.problems] == [
        "dataset.path: runs/dataset",
        "run.path: runs",
        "score.path: runs/scores",
    ]
    assert exit_code("score", config, "--date", "2026-01-01") == 2


def test_relative_paths_are_allowed_elsewhere(tmp_path: Path) -> None:
    require_lasting_paths(load_settings(write_config(tmp_path, tmp_path / "logs", run={"path": "runs"})))


def test_where_the_log_of_spark_is(monkeypatch: pytest.MonkeyPatch) -> None:
    log = Path("runs/spark.log")
    assert place_of_spark_log(log) == "runs/spark.log"
    monkeypatch.setenv("PYSPARK_GATEWAY_PORT", "1")
    assert place_of_spark_log(log) == "printed by spark-submit"
    monkeypatch.setenv("CONTAINER_ID", "container_1795773109285_0001_01_000001")
    assert place_of_spark_log(log) == "yarn logs -applicationId application_1795773109285_0001"
    monkeypatch.setenv("CONTAINER_ID", "of something else")
    assert yarn_application() is None


def test_an_error_of_the_start_says_what_the_jvm_says() -> None:
    with (
        pytest.raises(LogsError, match=r"^Application application_1_0001 failed 1 times due to AM Container "),
        one_line_errors(Path("log")),
    ):
        raise PySparkException(FAILED_START)
