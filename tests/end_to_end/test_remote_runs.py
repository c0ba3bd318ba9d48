"""Bundles in a bucket: published by a conditional put, and opened by every process as one and the same version."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
import requests
from moto.server import ThreadedMotoServer
from pyspark.sql import SparkSession

from afm_core.bundle import read_bundle
from afm_core.errors import ForeignFolderError, RepublishedError
from afm_core.storage.object_store import objects_below, read_object, write_object
from afm_core.storage.paths import to_path
from afm_core.storage.publishing import place_of, staged, unchanged
from afm_core.storage.remote_places import RemotePlace
from pipelines.dataset import Dataset
from tests.support.config import NIGHT, write_config
from tests.support.jobs import RunJob
from tests.support.nights import sorted_scores
from tests.support.processes import finish, start_job
from tests.support.remote_stores import Store, upload
from tests.support.small import Small

BUCKET = "runs"


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in (
        ("AWS_ENDPOINT_URL", f"http://{host}:{port}"),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
        ("AWS_DEFAULT_REGION", "us-east-1"),
        ("TMPDIR", str(tmp_path / "copies")),
    ):
        monkeypatch.setenv(name, value)
    (tmp_path / "copies").mkdir()
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.chdir(tmp_path)
    requests.post(f"http://{host}:{port}/moto-api/reset", timeout=10)  # its servers share what they hold
    boto3.client("s3").create_bucket(Bucket=BUCKET)
    yield f"s3://{BUCKET}"
    server.stop()


def fill(place: RemotePlace, text: str) -> Path:
    with staged(place, ("a",)) as stage:
        (stage / "a").write_text(text)
    assert place.current is not None
    return place.current


def fill_half(place: RemotePlace) -> None:
    with staged(place, ("a",)) as stage:
        (stage / "a").write_text("half")
        raise RuntimeError


def publish_with_another_run_in_between(place: RemotePlace, compared: Path) -> None:
    with staged(place, ("a",), unchanged(place, compared)) as stage:
        (stage / "a").write_text("new")
        fill(place, "other")


def remote(url: str) -> RemotePlace:
    place = place_of(to_path(url))
    assert isinstance(place, RemotePlace)
    return place


def test_a_run_in_a_bucket_is_that_of_the_disk(bucket: str, small: Small, tmp_path: Path, run_job: RunJob) -> None:
    """Trained, evaluated, promoted, rolled back and scored with bundles that are nowhere but in the bucket."""
    config = small.training_config(
        tmp_path,
        {},
        run={"path": f"{bucket}/shop"},
        score={"bundle": f"{bucket}/shop/current"},
        promote={"calibration_range": [0.0, 99.0]},
    )
    for job in ("train", "evaluate", "promote"):
        outcome = run_job(job, config)
        assert outcome.code == 0, outcome.err
    finish(start_job("score", config, "--date", NIGHT))  # a process whose Python workers have the bucket's credentials
    ours, theirs = read_bundle(to_path(f"{bucket}/shop/current")), read_bundle(small.settings.run.bundle)
    weights = [(path / "weights.safetensors").read_bytes() for path in (ours.path, theirs.path)]
    assert weights[0] == weights[1]
    scored = [sorted_scores(folder / f"dt={NIGHT}") for folder in (tmp_path / "scores", small.settings.nightly.path)]
    assert scored[0]["score"].equals(scored[1]["score"])
    names = objects_below(f"{bucket}/shop")
    assert {"evaluation.json", "history.jsonl", "bundle-versions/pointer.json"} <= set(names)
    assert run_job("promote", config, "--to", ours.fingerprint).code == 0
    assert run_job("promote", config, "--to", "0123456789abcdef").code == 2


def test_the_pointer_names_the_last_version_and_its_history(bucket: str) -> None:
    place = remote(f"{bucket}/shop/out")
    old, new = fill(place, "old"), fill(place, "new")
    assert place.all_versions == [old, new]
    found = read_object(f"{new}/a")
    assert found
    assert found.content == b"new"
    pointer = place.read_pointer()
    assert pointer
    facts = json.loads(pointer.content)
    assert facts["version"] == new.name
    assert [entry["version"] for entry in facts["before"]] == [old.name]


def test_two_publishers_cannot_overwrite_each_others_pointer(bucket: str) -> None:
    place = remote(f"{bucket}/shop/out")
    compared = fill(place, "old")
    with pytest.raises(RepublishedError):
        publish_with_another_run_in_between(place, compared)
    other = place.current
    assert other
    assert other != compared
    assert place.all_versions == [compared, other]
    before = place.read_pointer()
    place.point(compared, before)
    with pytest.raises(RepublishedError, match="another run has published there"):
        place.point(other, before)
    with pytest.raises(RepublishedError):
        place.point(other, None)
    place.point_anyway(other)
    assert place.current == other


def test_a_failure_leaves_the_pointer_and_no_trace(bucket: str) -> None:
    place = remote(f"{bucket}/shop/out")
    old = fill(place, "old")
    with pytest.raises(RuntimeError):
        fill_half(place)
    assert place.current == old
    assert place.all_versions == [old]


def test_what_is_not_an_earlier_output_is_not_replaced(bucket: str) -> None:
    write_object(f"{bucket}/shop/out/letter.txt", b"precious")
    with pytest.raises(ForeignFolderError, match="holds none of a "):
        fill(remote(f"{bucket}/shop/out"), "new")


def test_a_store_that_does_not_answer_is_one_line(
    bucket: str, small: Small, tmp_path: Path, run_job: RunJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    config = small.scoring_config(tmp_path, score={"bundle": f"{bucket}/shop/current"})
    outcome = run_job("score", config, "--date", NIGHT)
    assert outcome.code == 2
    (line,) = outcome.errors
    assert f"{bucket}/shop/current-versions/pointer.json: cannot be reached: " in line


@pytest.mark.cluster
def test_every_job_reads_from_and_writes_to_a_bucket(
    s3: Store, small: Small, spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Logs, dataset, run and bundle are in the bucket of a real server; only the scores are on the disk."""
    root = s3.root / tmp_path.name
    upload(spark, Path(str(small.settings.logs.path)), root / "logs")
    for name, value in connected_to(s3).items():
        monkeypatch.setenv(name, value)
    (tmp_path / "copies").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "copies"))
    monkeypatch.chdir(tmp_path)
    config = write_config(
        tmp_path,
        tmp_path,
        logs={"path": f"{root}/logs"},
        dataset={"path": f"{root}/dataset"},
        run={"path": f"{root}/run"},
        score={"logs": f"{root}/logs", "bundle": f"{root}/run/current"},
        promote={"calibration_range": [0.0, 99.0]},
    )
    for job, *arguments in (("prepare",), ("train",), ("evaluate",), ("promote",), ("score", "--date", NIGHT)):
        finish(start_job(job, config, *arguments))
    assert "is up to date" in finish(start_job("prepare", config))
    dataset = Dataset.open(to_path(f"{root}/dataset"))
    assert dataset.manifest.digest == small.dataset.manifest.digest
    assert dataset.feature_map.fingerprint == small.dataset.feature_map.fingerprint
    scored = [sorted_scores(folder / f"dt={NIGHT}") for folder in (tmp_path / "scores", small.settings.nightly.path)]
    assert scored[0]["score"].equals(scored[1]["score"])
    (version,) = remote(f"{root}/dataset").all_versions
    assert not [name for name in objects_below(str(version)) if name.startswith("_candidates/")]


def connected_to(store: Store) -> dict[str, str]:
    """The environment in which jobs, their Spark and its Python workers reach the server."""
    connector = {f"spark.hadoop.{key}": value for key, value in store.settings.items()}
    options = " ".join(f"--conf {key}={value}" for key, value in connector.items())
    jars = os.environ["PYSPARK_SUBMIT_ARGS"].removesuffix(" pyspark-shell")
    return {
        **store.environment,
        "AWS_ENDPOINT_URL": store.settings["fs.s3a.endpoint"],
        "AWS_DEFAULT_REGION": "us-east-1",
        "PYSPARK_SUBMIT_ARGS": f"{jars} {options} pyspark-shell",
    }
