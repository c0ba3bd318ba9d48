"""Bundles in a bucket and in HDFS: named in one step, and opened by every process as one and the same version."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from afm_core.bundle import read_bundle
from afm_core.errors import ForeignFolderError, RepublishedError
from afm_core.storage.object_store import objects_below, read_object, write_object
from afm_core.storage.paths import to_path
from afm_core.storage.publishing import staged, unchanged
from afm_core.storage.remote_places import RemotePlace
from pipelines.dataset import Dataset
from tests.support.config import NIGHT, write_config
from tests.support.jobs import RunJob
from tests.support.night_stores import rows_of
from tests.support.nights import sorted_scores
from tests.support.processes import finish, start_job
from tests.support.publishable_stores import connected_to, fill, publishable_folder, remote
from tests.support.ranks import HOROVODRUN, start_ranks
from tests.support.remote_stores import Store, upload
from tests.support.small import Small

IN_HDFS = pytest.param("hdfs", marks=[pytest.mark.cluster, pytest.mark.long])


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What jobs write on this machine beside their results is below the test's folder."""
    (tmp_path / "copies").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "copies"))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.chdir(tmp_path)


@pytest.fixture(params=["bucket", IN_HDFS])
def root(request: pytest.FixtureRequest, here: None) -> Iterator[str]:
    """The URL of a folder where nothing is."""
    with publishable_folder(request, request.param) as folder:
        yield folder


def fill_half(place: RemotePlace) -> None:
    with staged(place, ("a",)) as stage:
        (stage / "a").write_text("half")
        raise RuntimeError


def publish_with_another_run_in_between(place: RemotePlace, compared: Path) -> None:
    with staged(place, ("a",), unchanged(place, compared)) as stage:
        (stage / "a").write_text("new")
        fill(place, "other")


def test_a_remote_run_is_that_of_the_disk(root: str, small: Small, tmp_path: Path, run_job: RunJob) -> None:
    """Trained, evaluated, promoted, rolled back and scored with bundles that are nowhere but there."""
    config = small.training_config(
        tmp_path,
        {},
        run={"path": f"{root}/shop"},
        score={"bundle": f"{root}/shop/current"},
        promote={"calibration_range": [0.0, 99.0]},
    )
    for job in ("train", "evaluate", "promote"):
        outcome = run_job(job, config)
        assert outcome.code == 0, outcome.err
    finish(start_job("score", config, "--date", NIGHT))  # a process whose Python workers must reach the storage
    ours, theirs = read_bundle(to_path(f"{root}/shop/current")), read_bundle(small.settings.run.bundle)
    weights = [(path / "weights.safetensors").read_bytes() for path in (ours.path, theirs.path)]
    assert weights[0] == weights[1]
    scored = [sorted_scores(folder / f"dt={NIGHT}") for folder in (tmp_path / "scores", small.settings.nightly.path)]
    assert scored[0]["score"].equals(scored[1]["score"])
    names = objects_below(f"{root}/shop")
    assert {"evaluation.json", "history.jsonl", "bundle-versions/pointer.json"} <= set(names)
    assert run_job("promote", config, "--to", ours.fingerprint).code == 0
    assert run_job("promote", config, "--to", "0123456789abcdef").code == 2


def test_the_pointer_names_the_last_version_and_its_history(root: str) -> None:
    place = remote(f"{root}/shop/out")
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


def test_two_publishers_cannot_overwrite_each_others_pointer(root: str) -> None:
    place = remote(f"{root}/shop/out")
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


def test_a_failure_leaves_the_pointer_and_no_trace(root: str) -> None:
    place = remote(f"{root}/shop/out")
    old = fill(place, "old")
    with pytest.raises(RuntimeError):
        fill_half(place)
    assert place.current == old
    assert place.all_versions == [old]


def test_what_is_not_an_earlier_output_is_not_replaced(root: str) -> None:
    write_object(f"{root}/shop/out/letter.txt", b"precious")
    with pytest.raises(ForeignFolderError, match="holds none of a "):
        fill(remote(f"{root}/shop/out"), "new")


@pytest.mark.parametrize("root", ["s3://runs", "hdfs://127.0.0.1:9"])
def test_storage_that_does_not_answer_is_one_line(
    root: str, here: None, small: Small, tmp_path: Path, run_job: RunJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("ENDPOINT_URL", "http://127.0.0.1:9"), ("ACCESS_KEY_ID", "a"), ("SECRET_ACCESS_KEY", "b")):
        monkeypatch.setenv(f"AWS_{name}", value)
    config = small.scoring_config(tmp_path, score={"bundle": f"{root}/shop/current"})
    outcome = run_job("score", config, "--date", NIGHT)
    assert outcome.code == 2
    (line,) = outcome.errors
    assert root in line
    assert ": cannot be reached: " in line


@pytest.mark.cluster
@pytest.mark.parametrize("kind", ["s3", IN_HDFS])
def test_every_job_reads_from_and_writes_to_remote_storage(
    kind: str,
    request: pytest.FixtureRequest,
    here: None,
    small: Small,
    spark: SparkSession,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Logs, dataset, run, bundle and scores are on a real server."""
    store: Store = request.getfixturevalue(kind)
    root = store.root / tmp_path.name
    upload(spark, Path(str(small.settings.logs.path)), root / "logs")
    for name, value in connected_to(store).items():
        monkeypatch.setenv(name, value)
    config = write_config(
        tmp_path,
        tmp_path,
        logs={"path": f"{root}/logs"},
        dataset={"path": f"{root}/dataset"},
        run={"path": f"{root}/run"},
        score={"logs": f"{root}/logs", "path": f"{root}/scores", "bundle": f"{root}/run/current"},
        promote={"calibration_range": [0.0, 99.0]},
    )
    for job, *arguments in (("prepare",), ("train",), ("evaluate",), ("promote",), ("score", "--date", NIGHT)):
        finish(start_job(job, config, *arguments))
    assert "is up to date" in finish(start_job("prepare", config))
    dataset = Dataset.open(to_path(f"{root}/dataset"))
    assert dataset.manifest.digest == small.dataset.manifest.digest
    assert dataset.feature_map.fingerprint == small.dataset.feature_map.fingerprint
    ours, theirs = rows_of(root / "scores", NIGHT), sorted_scores(small.settings.nightly.path / f"dt={NIGHT}")
    assert ours["score"].equals(theirs["score"])
    (version,) = remote(f"{root}/dataset").all_versions
    assert not [name for name in objects_below(str(version)) if name.startswith("_candidates/")]
    assert {"evaluation.json", "history.jsonl", "bundle-versions/pointer.json"} <= set(objects_below(f"{root}/run"))
    table = f"{root}/dataset/features.parquet"
    finish(start_job("prepare", config, "--extend", table, "--set", f"dataset.path={root}/next"))
    assert Dataset.open(to_path(f"{root}/next")).manifest.features_added == 0
    warm = ("--set", f"run.path={root}/warm", "--set", f"dataset.path={root}/next", "--from", f"{root}/run/bundle")
    finish(start_job("train", config, *warm))
    if HOROVODRUN:
        finish(start_ranks(config, "--set", f"run.path={root}/ranks"))
        assert read_bundle(to_path(f"{root}/ranks/bundle")).fingerprint
