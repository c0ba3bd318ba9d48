"""A bucket of moto's server on the loopback interface."""

from collections.abc import Iterator
from contextlib import contextmanager

import boto3
import pytest
import requests
from moto.server import ThreadedMotoServer


@contextmanager
def moto_bucket(name: str) -> Iterator[str]:
    """The URL of an empty bucket, which the environment says how to reach."""
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
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
        boto3.client("s3").create_bucket(Bucket=name)
        yield f"s3://{name}"
    server.stop()
