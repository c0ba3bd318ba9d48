"""Training from a bucket: moto's server speaks S3 on the loopback interface, s3fs and Petastorm read from it."""

from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer
from s3fs import S3FileSystem

from tests.support.config import NIGHT, write_config
from tests.support.files import snapshot
from tests.support.jobs import RunJob
from tests.support.processes import finish
from tests.support.ranks import needs_horovod, start_ranks
from tests.support.small import Small

BUCKET = "prepared"
URL = f"s3://{BUCKET}/small/dataset"


@pytest.fixture
def bucket(small: Small, monkeypatch: pytest.MonkeyPatch) -> Iterator[object]:
    """The small dataset in a bucket."""
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in (
        ("AWS_ENDPOINT_URL", f"http://{host}:{port}"),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
        ("AWS_DEFAULT_REGION", "us-east-1"),
    ):
        monkeypatch.setenv(name, value)
    S3FileSystem.clear_instance_cache()
    store = boto3.client("s3")
    store.create_bucket(Bucket=BUCKET)
    for file in small.settings.dataset.path.rglob("*"):
        if file.is_file():
            name = file.relative_to(small.settings.dataset.path)
            store.upload_file(str(file), BUCKET, f"small/dataset/{name}")
    yield store
    S3FileSystem.clear_instance_cache()
    server.stop()


def config_for(folder: Path, small: Small, dataset: str, **train: object) -> Path:
    settings = {"warm_start": {"model": "fm", "epochs": 1}, "batch_size": 64, "epochs": 2, **train}
    return write_config(
        folder, small.settings.logs.path, dataset={"path": dataset, "rows_per_file": 256}, train=settings
    )


def test_a_training_from_a_bucket_is_that_from_the_disk(
    bucket: object, small: Small, tmp_path: Path, run_job: RunJob
) -> None:
    paths = {"disk": small.settings.dataset.path.as_uri(), "bucket": URL}
    for name, dataset in paths.items():
        config = config_for(tmp_path / name, small, dataset)
        for job, *arguments in (("train",), ("evaluate",), ("score", "--date", NIGHT)):
            outcome = run_job(job, config, *arguments)
            assert outcome.code == 0, outcome.err
    weights = [snapshot(tmp_path / name / "run" / "bundle") for name in paths]
    assert weights[0]["weights.safetensors"] == weights[1]["weights.safetensors"]
    assert weights[0]["features.parquet"] == weights[1]["features.parquet"]
    planned = run_job("train", config_for(tmp_path / "plan", small, URL), "--dry-run")
    assert planned.code == 0
    assert "bundle" in planned.out


@needs_horovod
def test_two_ranks_read_from_a_bucket(bucket: object, small: Small, tmp_path: Path) -> None:
    config = config_for(tmp_path, small, URL)
    finish(start_ranks(config))
    assert (tmp_path / "run" / "bundle").is_dir()


def test_what_is_not_in_the_bucket_is_one_line(
    bucket: object, small: Small, tmp_path: Path, run_job: RunJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    absent = run_job("train", config_for(tmp_path, small, f"s3://{BUCKET}/nothing"))
    assert absent.code == 2
    assert absent.errors == [f"error: s3://{BUCKET}/nothing: no dataset there; write one with jobs/prepare.py"]
    bucket.delete_object(Bucket=BUCKET, Key="small/dataset/train/part-000001.parquet")  # type: ignore[attr-defined]
    S3FileSystem.clear_instance_cache()
    torn = run_job("train", config_for(tmp_path, small, URL))
    assert (torn.code, len(torn.errors)) == (2, 1)
    assert f"{URL}/train/part-000001.parquet: missing" in torn.errors[0]
    unknown = run_job("train", config_for(tmp_path, small, "gopher://host/dataset"))
    assert (unknown.code, len(unknown.errors)) == (2, 1)
    assert "allowed are local and mounted folders" in unknown.errors[0]
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    S3FileSystem.clear_instance_cache()
    silent = run_job("train", config_for(tmp_path, small, URL))
    assert (silent.code, len(silent.errors)) == (2, 1)
    assert "cannot be reached" in silent.errors[0]
