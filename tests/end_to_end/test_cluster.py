"""Preparation and scoring on a Spark standalone cluster: a master and two workers, and their processes dying."""

import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipelines.dataset import Dataset
from tests.support.cluster import Cluster, finish, kill_group, standalone_cluster, wait_until_it_writes
from tests.support.config import NIGHT, write_config
from tests.support.decoding import assert_same_dataset
from tests.support.files import ROOT, snapshot, staging
from tests.support.jobs import run_main
from tests.support.nights import published_scores, write_large_night
from tests.support.small import Small
from tests.support.waiting import wait_for


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with standalone_cluster(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster


def test_the_archive_depends_on_the_sources_only(tmp_path: Path) -> None:
    archives = []
    for name in ("one", "two"):
        for folder in ("afm_core", "pipelines", "jobs", "conf"):
            shutil.copytree(ROOT / folder, tmp_path / name / folder, copy_function=shutil.copyfile)  # new times
        archives.append(tmp_path / name / "dist" / "attentional_fm.zip")
        command = [sys.executable, tmp_path / name / "conf" / "setup" / "dist.py", archives[-1]]
        subprocess.run(command, cwd=tmp_path, check=True)
    assert archives[0].read_bytes() == archives[1].read_bytes()
    names = zipfile.ZipFile(archives[0]).namelist()
    data = {"pipelines/log4j2.properties", "pipelines/pages/page.html.jinja"}
    assert {*data, "pipelines/spark.py", "jobs/_command.py"} < set(names)
    assert {name for name in names if not name.endswith(".py")} == data
    read_page = "from pipelines.pages.page import page; print(page('a title', '', []))"
    env = {**os.environ, "PYTHONPATH": str(archives[0])}
    shown = subprocess.run([sys.executable, "-c", read_page], cwd=tmp_path, env=env, check=True, capture_output=True)
    assert b"<h1>a title</h1>" in shown.stdout


def test_the_cluster_prepares_the_dataset_of_one_machine_although_an_executor_is_killed(
    cluster: Cluster, small: Small, tmp_path: Path
) -> None:
    """The dataset is that of one machine, although running tasks, cached rows and shuffle files are lost."""
    config = write_config(tmp_path, small.settings.logs.path)
    with cluster.submitting("prepare", config, "--force") as driver:
        wait_until_it_writes(driver, config)
        victim = cluster.executors()[0]
        victim.kill()
        assert driver.poll() is None
        log = finish(driver, config)
    assert "Lost executor" in log
    assert "exited with code 137" in log
    assert re.search("FetchFailed|Lost task|Resubmitted", log), "nothing was computed again, so nothing was tested"
    assert_same_dataset(Dataset.open(tmp_path / "dataset"), Dataset.open(small.settings.dataset.path))
    assert not staging(config.parent / "dataset")
    archives = list(cluster.folder.glob(f"*/app-*/*/{cluster.archive.name}"))
    assert {path.parents[2].name for path in archives} == {"one", "two"}, "both executors were sent the archive"


@pytest.mark.long  # local runs die in test_determinism.py, too
def test_a_driver_that_is_killed_leaves_the_old_dataset_and_the_rerun_repairs(
    cluster: Cluster, small: Small, tmp_path: Path
) -> None:
    config = write_config(tmp_path, small.settings.logs.path)
    shutil.copytree(small.settings.dataset.path, tmp_path / "dataset")
    (tmp_path / "dataset" / "old").touch()
    before = snapshot(tmp_path / "dataset")
    with cluster.submitting("prepare", config, "--force") as driver:
        wait_until_it_writes(driver, config)
        kill_group(driver)
    (left_over,) = staging(config.parent / "dataset")
    assert snapshot(tmp_path / "dataset") == before
    with cluster.submitting("prepare", config, "--force") as driver:
        assert snapshot(tmp_path / "dataset") == before
        finish(driver, config)
    assert not left_over.exists()
    assert not staging(config.parent / "dataset")
    assert not (tmp_path / "dataset" / "old").exists()
    assert_same_dataset(Dataset.open(tmp_path / "dataset"), Dataset.open(small.settings.dataset.path))


Rows = list[dict[str, Any]]


def score_on(cluster: Cluster, config: Path, kill: bool) -> Rows:
    """Scores of the night; one executor dies while its first task writes, if asked to."""
    scores = config.parent / "scores"
    with cluster.submitting("score", config, "--date", NIGHT) as driver:
        if kill:
            wait_for(
                lambda: [file for stage in staging(scores) for file in stage.glob("_unfinished/*.parquet")],
                "a task writes",
            )
            cluster.executors()[0].kill()
        log = finish(driver, config)
    if kill:
        assert "Lost executor" in log
        assert "Lost task" in log, "no task was tried again, so nothing was tested"
    return published_scores(scores)[f"dt={NIGHT}"]


@pytest.fixture
def night_config(small: Small, tmp_path: Path) -> Path:
    config = write_config(tmp_path, tmp_path / "nights")
    shutil.copytree(small.settings.run.bundle, tmp_path / "run" / "bundle")
    write_large_night(small, tmp_path / "nights" / f"dt={NIGHT}", copies=20)
    return config


def test_a_night_loses_no_row_when_an_executor_is_killed(cluster: Cluster, night_config: Path) -> None:
    run_main("score", night_config, "--date", NIGHT)
    local = published_scores(night_config.parent / "scores")[f"dt={NIGHT}"]
    killed = score_on(cluster, night_config, kill=True)
    assert [row["event_id"] for row in killed] == [row["event_id"] for row in local]
    differences = [abs(one["score"] - other["score"]) for one, other in zip(killed, local, strict=True)]
    assert max(differences) < 1e-6, "another kernel adds in another order"


@pytest.mark.long
def test_a_night_has_the_same_bits_when_an_executor_is_killed(cluster: Cluster, night_config: Path) -> None:
    assert score_on(cluster, night_config, kill=False) == score_on(cluster, night_config, kill=True)
