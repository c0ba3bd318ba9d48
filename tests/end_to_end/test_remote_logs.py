"""Logs in a bucket and in HDFS give the dataset and the scores of the same logs on the disk."""

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from afm_core.settings import Settings, load_settings
from afm_core.storage.urls import Url
from pipelines.dataset import Dataset
from pipelines.logs.files.opening import file_tree
from pipelines.logs.log_columns import LogColumns
from pipelines.logs.reading import read_logs
from pipelines.logs.sources import find_logs
from pipelines.preparation.dataset_freshness import up_to_date
from pipelines.scoring.published.parquet_nights import MANIFEST_FILE
from tests.support.config import NIGHT, write_config, write_minimal_config
from tests.support.decoding import assert_same_dataset
from tests.support.jobs import RunJob
from tests.support.nights import published_scores
from tests.support.remote_stores import Store, delete, hadoop_settings, upload
from tests.support.small import Small

pytestmark = pytest.mark.cluster
LOG = "user,app\nu1,a1\n"
FIELDS: dict[str, Any] = {"fields": ["user", "app"], "negatives": {"replace": "app"}, "score": None}


@pytest.fixture(params=["s3", "hdfs"])
def remote(request: pytest.FixtureRequest, small: Small, spark: SparkSession, tmp_path: Path) -> Url:
    """The small logs in a folder of their own."""
    store: Store = request.getfixturevalue(request.param)
    folder = store.root / tmp_path.name / "logs"
    upload(spark, Path(str(small.settings.logs.path)), folder)
    return folder


@pytest.mark.parametrize("pattern", ["", "/dt=2026-01-*"])
def test_a_preparation_is_that_from_the_disk(
    remote: Url, small: Small, tmp_path: Path, run_job: RunJob, spark: SparkSession, pattern: str
) -> None:
    config = write_config(tmp_path, tmp_path, logs={"path": f"{remote.for_spark}{pattern}"}, score=None)
    outcome = run_job("prepare", config)
    assert outcome.code == 0, outcome.err
    assert_same_dataset(Dataset.open(tmp_path / "dataset"), small.dataset)
    for name in (remote.for_spark, remote.for_python):  # two names of the same logs
        again = run_job("prepare", config, "--set", f"logs.path={name}{pattern}")
        assert "is up to date with its logs and settings" in " ".join(again.out.split()), again.err
    delete(spark, remote / "dt=2026-01-01")
    assert up_to_date(load_settings(config), lambda: spark) is None


def test_a_night_gets_the_scores_of_the_disk(
    remote: Url, small: Small, tmp_path: Path, run_job: RunJob, spark: SparkSession
) -> None:
    config = small.scoring_config(tmp_path, score={"logs": remote.for_spark})
    scored = run_job("score", config, "--date", NIGHT)
    assert scored.code == 0, scored.err
    name = f"dt={NIGHT}"
    expected = published_scores(small.settings.nightly.path)[name]
    assert published_scores(tmp_path / "scores") == {name: expected}
    assert len(expected) > 300
    assert (tmp_path / "scores" / name / MANIFEST_FILE).is_file()
    again = run_job("score", config, "--from", NIGHT, "--to", NIGHT, "--set", f"score.logs={remote.for_python}")
    assert again.code == 3, "it is up to date, under whichever name"
    planned = run_job("score", config, "--missing", "3", "--dry-run")
    assert f"{remote}/dt=2026-01-02" in planned.out
    assert f"{remote}/{name}" not in planned.out
    absent = run_job("score", config, "--date", "2027-01-01")
    available = "the nights there are 2026-01-01 to 2026-01-04; correct --date or score.logs"
    assert absent.errors == [f"error: {remote}: no logs for 2027-01-01; {available}"]


def test_the_items_to_choose_from(
    remote: Url, small: Small, tmp_path: Path, run_job: RunJob, spark: SparkSession
) -> None:
    items = tmp_path / "items.txt"
    items.write_text("\n".join(f"app{number}" for number in range(7)))
    upload(spark, items, remote.parent / items.name)
    best = {}
    for name, place in {"disk": items, "remote": remote.parent / items.name}.items():
        config = small.scoring_config(tmp_path / name, recommend={"items": str(place)})
        outcome = run_job("recommend", config, "--date", NIGHT, "--k", "2")
        assert outcome.code == 0, outcome.err
        table = pq.read_table(tmp_path / name / "scores_best_items" / f"dt={NIGHT}")
        best[name] = table.sort_by([("user", "ascending"), ("rank", "ascending")]).to_pylist()
    assert best["disk"] == best["remote"]
    assert {row["app"] for row in best["disk"]} <= set(items.read_text().split())
    missing = run_job("recommend", config, "--date", NIGHT, "--k", "2", "--set", f"recommend.items={remote}/none.txt")
    assert missing.errors == [f"error: {remote}/none.txt: cannot be read: no such file"]


@pytest.mark.parametrize("name", ["a[1] {x,y} *?", "100 %20", "ü # & é+"])
def test_names_of_any_characters(s3: Store, hdfs: Store, tmp_path: Path, spark: SparkSession, name: str) -> None:
    (tmp_path / "logs" / name / "dt=2026-01-01").mkdir(parents=True)
    (tmp_path / "logs" / name / "dt=2026-01-01" / "part 1.csv").write_text(LOG)
    for store in (s3, hdfs):
        folder = store.root / tmp_path.name
        upload(spark, tmp_path / "logs", folder)
        for path in (folder / name, folder / "*" / "dt=2026-01-0?"):
            settings = load_settings(write_minimal_config(tmp_path, str(path), **FIELDS))
            assert rows(spark, settings) == [("u1", "a1")]


def test_the_file_system_of_the_cluster(hdfs: Store, tmp_path: Path, spark: SparkSession) -> None:
    """`hdfs:///` leaves the address to Hadoop's configuration, and stays as the user wrote it."""
    (tmp_path / "logs.csv").write_text(LOG)
    upload(spark, tmp_path / "logs.csv", hdfs.root / "own" / "logs.csv")
    settings = load_settings(write_minimal_config(tmp_path, "hdfs:///own/*.csv", **FIELDS))
    uncached = {"fs.hdfs.impl.disable.cache": "true"}  # a client that an earlier test has opened knows another default
    with hadoop_settings(spark, {"fs.defaultFS": str(hdfs.root), **uncached}):
        (file,) = find_logs(file_tree(settings.logs.path, lambda: spark), settings.logs).files
        assert str(file.path) == "hdfs:///own/logs.csv"
        assert rows(spark, settings) == [("u1", "a1")]


def rows(spark: SparkSession, settings: Settings) -> list[tuple[str, str]]:
    raw = read_logs(spark, settings.logs, LogColumns.of(settings, labelled=False))
    return [(row["user"], row["app"]) for row in raw.collect()]
