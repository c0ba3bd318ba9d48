"""Preparation and scoring on YARN, in client and in cluster mode, with logs in HDFS and the Python environment as an
archive; executors die, and jobs fail."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from afm_core.bundle import read_bundle
from afm_core.storage.locations import Location
from afm_core.storage.locks import locked
from afm_core.storage.object_store import objects_below
from afm_core.storage.paths import to_path
from afm_core.storage.urls import Url
from pipelines.dataset import Dataset
from tests.support.config import NIGHT, write_config
from tests.support.decoding import assert_same_dataset
from tests.support.files import ROOT, staging
from tests.support.job_environment import job_environment, pack
from tests.support.jobs import run_main
from tests.support.night_stores import rows_of
from tests.support.nights import published_scores, write_large_night
from tests.support.remote_stores import upload
from tests.support.small import Small
from tests.support.waiting import wait_for
from tests.support.yarn import PATIENCE, PLAIN, WITH_CODES, Mode, Submission, Yarn, put_file, yarn_cluster

pytestmark = [pytest.mark.cluster, pytest.mark.long]
MODES = ["client", "cluster"]


@dataclass(frozen=True)
class Site:
    """What is there before any job is submitted."""

    yarn: Yarn
    environment: Path
    """The virtual environment, for drivers that run here."""
    project: Path
    """The project as `make dist` packs it; without it, jobs use the one that is installed in the environment."""
    logs: Url
    """The small logs."""
    nights: Url
    """One large night."""
    bundle: Url
    """The bundle that scores it."""
    scores: list[dict[str, Any]]
    """Its scores by one machine."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, small: Small, shared_spark: SparkSession) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("yarn")
    environment = job_environment(folder / "job-env")
    pack(environment, folder / "environment.tar.gz")
    project = folder / "attentional_fm.zip"
    subprocess.run([sys.executable, ROOT / "conf" / "setup" / "dist.py", project], check=True)
    with yarn_cluster(folder / "hadoop") as yarn:
        logs, nights = yarn.root / "logs", yarn.root / "nights"
        put_file(shared_spark, folder / "environment.tar.gz", yarn.root / "apps" / "environment.tar.gz")
        upload(shared_spark, Path(str(small.settings.logs.path)), logs)
        write_large_night(small, folder / "nights" / f"dt={NIGHT}", copies=20)
        upload(shared_spark, folder / "nights", nights)
        upload(shared_spark, read_bundle(small.settings.run.bundle).path, yarn.root / "bundle")
        config = small.scoring_config(folder / "local", folder / "nights")
        run_main("score", config, "--date", NIGHT)
        scores = published_scores(folder / "local" / "scores")[f"dt={NIGHT}"]
        yield Site(yarn, environment, project, logs, nights, yarn.root / "bundle", scores)


@pytest.fixture(params=["disk", "hdfs"])
def outputs(request: pytest.FixtureRequest, site: Site, tmp_path: Path) -> Location:
    """Where jobs publish: a folder that all nodes share, or one in HDFS."""
    return tmp_path if request.param == "disk" else site.yarn.root / tmp_path.name


def kill_an_executor(job: Submission, site: Site, output: Location, pattern: str) -> None:
    """SIGKILL one executor as soon as a run has begun to write what it will publish at `output`."""

    def begun() -> list[str]:
        if isinstance(output, Path):
            return [str(file) for stage in staging(output) for file in stage.glob(pattern)]
        below = objects_below(str(output.parent))
        return [name for name in below if fnmatch(name, f"{output.name}*/{pattern}")]

    wait_for(begun, "it writes", job.driver, seconds=PATIENCE)
    site.yarn.executors()[0].kill()


@pytest.mark.parametrize("mode", MODES)
def test_yarn_prepares_the_dataset_of_one_machine_although_an_executor_is_killed(
    site: Site, small: Small, tmp_path: Path, outputs: Location, mode: Mode
) -> None:
    target = outputs / "dataset"
    config = write_config(tmp_path, site.logs.for_spark, dataset={"path": str(target)})
    options = ["--py-files", str(site.project)]
    with site.yarn.submitting(mode, site.environment, "prepare", config, "--force", options=options) as job:
        kill_an_executor(job, site, target, "train/part-*")
        assert job.finish() == 0, job.printed()[-5000:]
    assert job.application()["finalStatus"] == "SUCCEEDED"
    log = job.driver_printed() if mode == "cluster" else job.printed()
    assert "Exit status: 137" in log
    assert "FetchFailed" in log, "nothing was computed again, so nothing was tested"
    assert "instances" in log, "what the job prints is there"
    prepared = Dataset.open(to_path(str(target)))
    assert prepared.manifest.digest == small.dataset.manifest.digest
    if isinstance(target, Path):
        assert_same_dataset(prepared, small.dataset)
        assert not staging(target)


@pytest.mark.parametrize("mode", MODES)
def test_a_night_has_the_bits_of_one_machine_although_an_executor_is_killed(
    site: Site, small: Small, tmp_path: Path, outputs: Location, mode: Mode
) -> None:
    """In HDFS, the night is a partition of a Delta table, and the bundle is there, too."""
    target = outputs / "scores"
    score = {"logs": site.nights.for_spark, "path": str(target)}
    bundle = {} if isinstance(target, Path) else {"bundle": str(site.bundle)}
    pattern = "_unfinished/*.parquet" if isinstance(target, Path) else f"dt={NIGHT}/part-*"
    config = small.scoring_config(tmp_path, score={**score, **bundle})
    with site.yarn.submitting(mode, site.environment, "score", config, "--date", NIGHT) as job:
        kill_an_executor(job, site, target, pattern)
        assert job.finish() == 0, job.printed()[-5000:]
    assert job.application()["finalStatus"] == "SUCCEEDED"
    log = job.driver_printed() if mode == "cluster" else job.printed()
    assert "Exit status: 137" in log
    assert "Lost task" in log, "no task was tried again, so nothing was tested"
    assert "scored small, night" in log, "what the job prints is there"
    if isinstance(target, Path):
        assert published_scores(target) == {f"dt={NIGHT}": site.scores}
    else:
        assert rows_of(target, NIGHT).select(["event_id", "score"]).to_pylist() == site.scores


@pytest.mark.parametrize(
    ("mode", "program", "code", "status"),
    [
        ("client", PLAIN, 75, "SUCCEEDED"),
        ("cluster", PLAIN, 1, "FAILED"),
        ("cluster", WITH_CODES, 75, "FAILED"),
    ],
)
def test_a_failed_job_is_seen_in_the_exit_code_of_spark_submit_only(
    site: Site, small: Small, tmp_path: Path, mode: Mode, program: Path, code: int, status: str
) -> None:
    """In client mode YARN takes every job for a success; in cluster mode spark-submit knows one code for all errors."""
    config = small.scoring_config(tmp_path, score={"logs": site.nights.for_spark})
    with (
        locked(tmp_path / "scores"),
        site.yarn.submitting(mode, site.environment, "score", config, "--date", NIGHT, program=program) as job,
    ):
        assert job.finish() == code, job.printed()[-5000:]
    application = job.application()
    assert (application["state"], application["finalStatus"]) == ("FINISHED", status)
    assert job.attempts() == 1
    if mode == "cluster":
        assert application["diagnostics"] == "User application exited with status 75"
    assert "retry when it has ended" in (job.driver_printed() if mode == "cluster" else job.printed())


def test_relative_paths_are_refused_in_cluster_mode_and_yarn_tries_again_unless_told_not_to(
    site: Site, small: Small, tmp_path: Path
) -> None:
    config = small.scoring_config(tmp_path, score={"path": "runs/scores"})
    twice = ["--conf", "spark.yarn.maxAppAttempts=2"]
    with site.yarn.submitting(
        "cluster", site.environment, "score", config, "--date", NIGHT, options=twice, program=WITH_CODES
    ) as job:
        assert job.finish() == 2, job.printed()[-5000:]
    assert job.attempts() == 2
    assert "score.path: runs/scores is relative to the working folder of a YARN container" in job.driver_printed()
