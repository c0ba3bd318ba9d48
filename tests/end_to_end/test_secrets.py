"""A secret that is planted in the environment, in a URL and in --set is in nothing that the jobs write or print."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.dataset import Dataset
from pipelines.scoring.monitoring.ledger import read_ledger
from tests.support.cluster import SPARK_HOME
from tests.support.config import NIGHT, write_config
from tests.support.decoding import assert_same_dataset
from tests.support.files import ROOT
from tests.support.jobs import RunJob
from tests.support.nights import published_scores
from tests.support.processes import job_command
from tests.support.remote_stores import S3A_JARS, Store, upload
from tests.support.small import Small

IN_URL, IN_ENVIRONMENT = "plantedInTheUrl", "plantedInTheEnvironment"


def written_and_printed(folder: Path, *printed: str) -> Iterator[tuple[str, bytes]]:
    """Every file below a folder, rows of ledgers as text, and what was printed."""
    for file in folder.rglob("*"):
        if file.is_file():
            yield str(file), file.read_bytes()
    for ledger in folder.rglob("_ledger"):
        yield str(ledger), repr(read_ledger(ledger.parent)).encode()
    yield "printed", "".join(printed).encode()


def assert_nowhere(secrets: tuple[str, ...], folder: Path, *printed: str) -> None:
    for name, content in written_and_printed(folder, *printed):
        for secret in secrets:
            assert secret.encode() not in content, f"{secret} in {name}"


def test_no_job_writes_or_prints_a_secret(
    run_job: RunJob, small: Small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", IN_ENVIRONMENT)
    monkeypatch.setenv("AWS_SESSION_TOKEN", f"{IN_ENVIRONMENT}Too")
    config = write_config(tmp_path, small.settings.logs.path, train={"warm_start": None, "epochs": 1})
    outcomes = [run_job("prepare", config), run_job("train", config), run_job("score", config, "--date", NIGHT)]
    assert [outcome.code for outcome in outcomes] == [0, 0, 0]
    night = ("score", "--date", NIGHT)
    for job, *arguments in (
        ("prepare", "--set", f"logs.path=s3://KEY:{IN_URL}@shop/logs"),
        ("prepare", "--set", f"logs=https://user:{IN_URL}@host/x"),
        ("train", "--set", f"dataset.path=https://host/x?sv=1&sig={IN_URL}"),
        (*night, "--set", f"score.logs=hdfs://user:{IN_URL}@host/x"),
        (*night, "--set", f"https://user:{IN_URL}@host/x"),
        ("prepare", "--set", f"logs.path=/nowhere/{IN_ENVIRONMENT}"),
        (*night, "--set", f"score.logs=/nowhere/{IN_ENVIRONMENT}"),
        ("prepare", "--set", f"seed={IN_ENVIRONMENT}"),
    ):
        outcomes.append(run_job(job, config, *arguments))
        assert (outcomes[-1].code, len(outcomes[-1].errors)) == (2, 1), arguments
    assert [row.outcome for row in read_ledger(tmp_path / "scores")] == ["published", "failed"]
    assert_nowhere((IN_URL, IN_ENVIRONMENT), tmp_path, *(part for done in outcomes for part in (done.out, done.err)))


@pytest.mark.cluster
def test_jobs_take_their_credentials_from_the_environment_and_keep_them(
    small: Small, s3: Store, tmp_path: Path, spark: object
) -> None:
    """Each in a JVM of its own: as `python jobs/prepare.py`, and under spark-submit with the connector's jars."""
    upload(spark, Path(str(small.settings.logs.path)), s3.root / "secrets")  # type: ignore[arg-type]
    reached = {key: value for key, value in s3.settings.items() if key.endswith(("endpoint", "region", "access"))}
    conf = [part for key, value in reached.items() for part in ("--conf", f"spark.hadoop.{key}={value}")]
    dead = ["--conf", "spark.hadoop.fs.s3a.endpoint=http://127.0.0.1:9"]
    config = write_config(tmp_path, small.settings.logs.path, logs={"path": "s3a://shop-logs/secrets"})
    shutil.copytree(small.settings.run.bundle, tmp_path / "run" / "bundle")
    base = {key: value for key, value in os.environ.items() if not key.startswith(("PYSPARK_", "SPARK_"))}
    base |= {"SPARK_LOCAL_IP": "127.0.0.1", **s3.environment}

    def run(command: list[str], *options: str) -> subprocess.CompletedProcess[str]:
        arguments = " ".join([*options, "--conf", f"spark.driver.extraClassPath={S3A_JARS}/*", "pyspark-shell"])
        variables = {**base, "PYSPARK_SUBMIT_ARGS": arguments}
        return subprocess.run(command, env=variables, cwd=ROOT, capture_output=True, text=True, timeout=300)

    prepared = run(job_command("prepare", config), *conf)
    assert prepared.returncode == 0, prepared.stderr
    assert_same_dataset(Dataset.open(tmp_path / "dataset"), small.dataset)

    started = time.monotonic()
    unreached = run(job_command("prepare", config), *conf, *dead)
    assert time.monotonic() - started < 60, "on a busy machine Spark takes long to start; S3A alone would ask for 146 s"
    assert (unreached.returncode, unreached.stderr.count("\n")) == (2, 1), unreached.stderr
    assert unreached.stderr.startswith("error: s3://shop-logs/secrets: cannot be reached: Connection refused; ")

    jars = ",".join(sorted(map(str, S3A_JARS.glob("*.jar"))))
    submit = [str(SPARK_HOME / "bin" / "spark-submit"), "--master", "local[2]", "--conf", f"spark.jars={jars}", *conf]
    job = [str(ROOT / "jobs" / "score.py"), "--config", str(config), "--set", "score.logs=s3://shop-logs/secrets"]
    base["PYSPARK_PYTHON"] = base["PYSPARK_DRIVER_PYTHON"] = job_command("score", config)[0]
    scored, absent = (run([*submit, *job, "--date", night]) for night in (NIGHT, "2027-01-01"))
    assert scored.returncode == 0, scored.stderr[-3000:]
    assert published_scores(tmp_path / "scores") == {
        name: rows for name, rows in published_scores(small.settings.nightly.path).items() if name == f"dt={NIGHT}"
    }
    assert absent.returncode == 2
    printed = [text for done in (prepared, unreached, scored, absent) for text in (done.stdout, done.stderr)]
    assert_nowhere(tuple(s3.environment.values()), tmp_path, *printed)
