"""Nights of a Delta table: by the jobs that publish them, and to the tools that read them."""

import json
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from afm_core.storage.locations import to_location
from pipelines import phases
from pipelines.scoring.monitoring.ledger import read_ledger
from pipelines.scoring.published.delta_nights import DeltaNights
from tests.support.jobs import RunJob, run_main
from tests.support.night_stores import rows_of, table_of
from tests.support.nights import sorted_scores
from tests.support.processes import finish, start_job
from tests.support.publishable_stores import connected_to
from tests.support.remote_stores import KIT, Store
from tests.support.small import Small

pytest.importorskip("deltalake")

NIGHTS = ("2026-01-02", "2026-01-03", "2026-01-04")
FIRST, REDONE = date(2026, 1, 2), date(2026, 1, 3)
DELTA_JARS = KIT / "jars" / "delta"


@pytest.fixture(scope="module")
def plain(small: Small, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same nights as folders of Parquet."""
    folder = tmp_path_factory.mktemp("plain")
    run_main("score", small.scoring_config(folder), "--from", NIGHTS[0], "--to", NIGHTS[-1])
    return folder / "scores"


@pytest.fixture(scope="module")
def scores(small: Small, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three nights, of which the second was published twice: first without explanations, then with."""
    folder = tmp_path_factory.mktemp("delta")
    config = small.scoring_config(folder, score={"format": "delta"})
    run_main("score", config, "--from", NIGHTS[0], "--to", NIGHTS[-1])
    run_main("score", config, "--date", str(REDONE), "--explain", "2")
    return folder / "scores"


def test_a_night_is_that_of_the_folders(scores: Path, plain: Path) -> None:
    for night in NIGHTS:
        ours, theirs = rows_of(scores, night), sorted_scores(plain / f"dt={night}")
        assert ours.select(theirs.column_names).equals(theirs)
    assert DeltaNights(scores).nights() == [date.fromisoformat(night) for night in NIGHTS]


def test_the_version_before_a_night_was_redone_stays_readable(scores: Path) -> None:
    newest = table_of(DeltaNights(scores))
    before = rows_of(scores, str(REDONE), newest.version() - 1)
    assert "interactions" not in before.column_names
    assert "interactions" in rows_of(scores, str(REDONE)).column_names
    commits = newest.history()
    assert [commit["dt"] for commit in commits[:-1]] == [str(REDONE), *reversed(NIGHTS)]
    manifest = json.loads(commits[0]["manifest"])
    assert (manifest["night"], manifest["scored"]) == (str(REDONE), len(before))


def test_duckdb(scores: Path) -> None:
    """With the list of files, because its own extension for Delta is not part of the package."""
    files = table_of(DeltaNights(scores)).file_uris()
    query = "SELECT dt, count(*) FROM read_parquet($files, hive_partitioning=true, union_by_name=true) GROUP BY dt"
    found = {str(night): rows for night, rows in duckdb.execute(query, {"files": files}).fetchall()}
    assert found == {night: len(rows_of(scores, night)) for night in NIGHTS}


_READ_WITH_SPARK = """
import json, sys
from pyspark.sql import SparkSession

path, version, jars = sys.argv[1], sys.argv[2], sys.argv[3]
spark = (
    SparkSession.builder.master("local[1]")
    .config("spark.ui.enabled", "false").config("spark.driver.host", "127.0.0.1")
    .config("spark.jars", jars)
    .config("spark.sql.extensions", "io.delta.sql.DeltaSparkSessionExtension")
    .config("spark.sql.catalog.spark_catalog", "org.apache.spark.sql.delta.catalog.DeltaCatalog")
    .getOrCreate()
)
read = spark.read.format("delta")
count = lambda rows: {str(row["dt"]): row["count"] for row in rows.groupBy("dt").count().collect()}
now, before = read.load(path), read.option("versionAsOf", version).load(path)
explained = now.where("dt = '2026-01-03' AND size(interactions) = 2").count()
print(json.dumps([count(now), count(before), explained, "interactions" in before.columns]))
"""


@pytest.mark.cluster
def test_spark_reads_it_and_travels_in_time(scores: Path) -> None:
    jars = ",".join(map(str, sorted(DELTA_JARS.glob("*.jar"))))
    if not jars:
        pytest.skip("needs ../shared (jars/delta)")
    version = str(table_of(DeltaNights(scores)).version() - 1)
    command = [sys.executable, "-c", _READ_WITH_SPARK, str(scores), version, jars]
    printed = subprocess.run(command, capture_output=True, text=True, timeout=180, check=True).stdout
    now, before, explained, had_explanations = json.loads(printed.splitlines()[-1])
    expected = {night: len(rows_of(scores, night)) for night in NIGHTS}
    assert (now, before) == (expected, expected)
    assert (explained, had_explanations) == (expected[str(REDONE)], False)


def test_nights_that_are_missing_or_out_of_date(small: Small, tmp_path: Path, run_job: RunJob) -> None:
    config = small.scoring_config(tmp_path, score={"format": "delta"})
    assert run_job("score", config, "--date", NIGHTS[0]).code == 0
    outcome = run_job("score", config, "--missing", "3")
    assert outcome.code == 0, outcome.err
    published = [row.night for row in read_ledger(tmp_path / "scores") if row.outcome == "published"]
    assert [str(night) for night in published] == list(NIGHTS)
    assert (tmp_path / "scores" / "_ledger" / "trend.png").exists()
    assert run_job("score", config, "--missing", "3").code == 3
    again = run_job("score", config, "--from", NIGHTS[0], "--to", NIGHTS[-1])
    assert (again.code, "nothing to do" in again.err) == (3, True)
    changed = run_job("score", config, "--date", NIGHTS[-1], "--set", "score.drift.warn=0.1")
    assert changed.code == 0, changed.err
    assert f"{tmp_path / 'scores'}(Deltatable),dt={NIGHTS[-1]}" in "".join(changed.out.split()), "wherever lines end"


def test_a_night_without_logs_is_published_empty(small: Small, tmp_path: Path, run_job: RunJob) -> None:
    (tmp_path / "nights" / "dt=2026-02-01").mkdir(parents=True)
    config = small.scoring_config(tmp_path, tmp_path / "nights", score={"format": "delta", "allow_empty": True})
    assert run_job("score", config, "--date", "2026-02-01").code == 0
    assert len(rows_of(tmp_path / "scores", "2026-02-01")) == 0
    assert DeltaNights(tmp_path / "scores").nights() == [date(2026, 2, 1)]
    assert run_job("score", config, "--missing", "1").code == 3


def test_recommendations(small: Small, tmp_path: Path, run_job: RunJob) -> None:
    config = small.scoring_config(tmp_path, score={"format": "delta"})
    outcome = run_job("recommend", config, "--date", NIGHTS[0], "--k", "3")
    assert outcome.code == 0, outcome.err
    uris = table_of(DeltaNights(tmp_path / "scores_best_items")).file_uris()
    rows = pa.concat_tables([pq.read_table(uri, partitioning=None) for uri in uris])
    assert rows.column_names == ["user", "rank", "app", "score", "model"]
    assert set(rows["rank"].to_pylist()) == {1, 2, 3}


@pytest.mark.parametrize(
    "phase",
    [
        pytest.param(phases.FILES_WRITTEN, marks=pytest.mark.long),
        phases.ABOUT_TO_PUBLISH,
        pytest.param(phases.PUBLISHED, marks=pytest.mark.long),
    ],
)
def test_a_run_that_is_killed_is_repaired_by_the_next(
    small: Small, plain: Path, tmp_path: Path, run_job: RunJob, phase: str
) -> None:
    """Before the commit nothing is published; after it, all of it."""
    config, path = small.scoring_config(tmp_path, score={"format": "delta"}), tmp_path / "scores"
    killed = start_job("score", config, "--date", NIGHTS[0], fault=("kill", phase))
    killed.communicate(timeout=120)
    assert killed.returncode == -9
    assert DeltaNights(path).nights() == ([FIRST] if phase == phases.PUBLISHED else [])
    assert read_ledger(path) == []
    outcome = run_job("score", config, "--date", NIGHTS[0])
    assert outcome.code == 0, outcome.err
    expected = sorted_scores(plain / f"dt={NIGHTS[0]}")
    assert rows_of(path, NIGHTS[0]).equals(expected)


@pytest.fixture(params=["s3", "hdfs"])
def remote(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Store:
    store: Store = request.getfixturevalue(request.param)
    for variable, value in connected_to(store).items():
        monkeypatch.setenv(variable, value)
    return store


@pytest.mark.cluster
def test_nights_of_a_store_are_those_of_the_disk(
    remote: Store, small: Small, plain: Path, tmp_path: Path, run_job: RunJob
) -> None:
    """By processes of their own, whose Python workers write there, with rejected rows that Spark writes there."""
    root = remote.root / tmp_path.name
    config = small.scoring_config(tmp_path, score={"path": str(root / "scores")})
    finish(start_job("score", config, "--from", NIGHTS[0], "--to", NIGHTS[-1]))
    table = DeltaNights(to_location(str(root / "scores")))
    assert table.nights() == [date.fromisoformat(night) for night in NIGHTS]
    for night in NIGHTS:
        theirs = sorted_scores(plain / f"dt={night}")
        assert rows_of(table.path, night).equals(theirs)
        manifest: dict[str, Any] = json.loads(table.manifest(date.fromisoformat(night)) or "{}")
        assert manifest["scored"] == len(theirs)
    assert [row.outcome for row in read_ledger(table.path)] == ["published"] * 3
    assert run_job("score", config, "--missing", "3").code == 3
    assert not (tmp_path / "scores").exists()


@pytest.mark.cluster
def test_a_store_that_does_not_answer_is_one_line(small: Small, tmp_path: Path, run_job: RunJob) -> None:
    config = small.scoring_config(tmp_path, score={"path": "hdfs://127.0.0.1:9/scores"})
    outcome = run_job("score", config, "--date", NIGHTS[0])
    assert outcome.code == 2
    (line,) = outcome.errors
    assert line.startswith("error: hdfs://127.0.0.1:9: cannot be reached: ")
