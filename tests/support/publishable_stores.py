"""Folders of remote storage where artefacts are published, so that one test asks each kind the same."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest

from afm_core.storage.paths import to_path
from afm_core.storage.publishing import place_of, staged
from afm_core.storage.remote_places import RemotePlace
from tests.support.remote_stores import Store

PUBLISHABLE = ["bucket", pytest.param("hdfs", marks=[pytest.mark.cluster, pytest.mark.long])]
BUCKET = "runs"


@contextmanager
def moto_bucket() -> Iterator[str]:
    """The URL of an empty bucket of moto's server; the environment says how to reach it."""
    boto3, moto = pytest.importorskip("boto3"), pytest.importorskip("moto.server")
    import requests  # comes with moto

    pytest.importorskip("obstore")
    server = moto.ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    environment = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    with pytest.MonkeyPatch.context() as patch:
        for variable, value in environment.items():
            patch.setenv(variable, value)
        requests.post(f"http://{host}:{port}/moto-api/reset", timeout=10)  # its servers share what they hold
        boto3.client("s3").create_bucket(Bucket=BUCKET)
        yield f"s3://{BUCKET}"
    server.stop()


@contextmanager
def publishable_folder(request: pytest.FixtureRequest, kind: str) -> Iterator[str]:
    """The URL of a folder where nothing is."""
    if kind == "bucket":
        with moto_bucket() as bucket:
            yield f"{bucket}/{uuid4().hex}"
        return
    if kind == "s3":
        pytest.importorskip("obstore")
    store: Store = request.getfixturevalue(kind)
    with pytest.MonkeyPatch.context() as patch:
        for variable, value in connected_to(store).items():
            patch.setenv(variable, value)
        yield str(store.root / uuid4().hex)


def remote(url: str) -> RemotePlace:
    """The place of an artefact in remote storage."""
    place = place_of(to_path(url))
    assert isinstance(place, RemotePlace)
    return place


def fill(place: RemotePlace, text: str) -> Path:
    """Publish a version with one file `a`; its folder."""
    with staged(place, ("a",)) as stage:
        (stage / "a").write_text(text)
    assert place.current is not None
    return place.current


def connected_to(store: Store) -> Mapping[str, str]:
    """The environment in which jobs, their Spark and its Python workers reach a server."""
    if store.root.scheme == "hdfs":
        return {}
    connector = {f"spark.hadoop.{key}": value for key, value in store.settings.items()}
    options = " ".join(f"--conf {key}={value}" for key, value in connector.items())
    jars = os.environ["PYSPARK_SUBMIT_ARGS"].removesuffix(" pyspark-shell")
    return {
        **store.environment,
        "AWS_ENDPOINT_URL": store.settings["fs.s3a.endpoint"],
        "AWS_DEFAULT_REGION": "us-east-1",
        "PYSPARK_SUBMIT_ARGS": f"{jars} {options} pyspark-shell",
    }
