"""Storage that does not answer, or refuses to, is one line within 15 seconds, without any secret."""

import socket
import time
from collections.abc import Iterator

import pytest
from pyspark.sql import SparkSession

from afm_core.errors import LogsError
from afm_core.storage.locations import to_location
from pipelines.logs.files.opening import file_tree
from tests.support.remote_stores import HAS_S3A, Store, hadoop_settings

NOBODY = "127.0.0.1:9"
needs_s3a = pytest.mark.skipif(not HAS_S3A, reason="needs ../shared/jars/s3a, of the Hadoop of this Spark")
S3A = {
    "fs.s3a.endpoint.region": "us-east-1",
    "fs.s3a.path.style.access": "true",
    "fs.s3a.access.key": "planted-key-id",
    "fs.s3a.secret.key": "planted-secret",
    "fs.s3a.aws.credentials.provider": "org.apache.hadoop.fs.s3a.SimpleAWSCredentialsProvider",
}


def refusal(spark: SparkSession, url: str) -> str:
    """The one line that asking for a URL ends in."""
    started = time.monotonic()
    with pytest.raises(LogsError) as caught:
        file_tree(to_location(url), lambda: spark).matches()
    line = str(caught.value)
    assert time.monotonic() - started < 15
    assert "\n" not in line
    assert len(line) < 400
    assert "planted" not in line
    return line


@pytest.fixture
def silent() -> Iterator[str]:
    """A server that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


def test_nobody_listens_to_hdfs(spark: SparkSession) -> None:
    assert refusal(spark, f"hdfs://{NOBODY}/logs").startswith(
        f"hdfs://{NOBODY}/logs: cannot be reached: Connection refused; correct its address"
    )


def test_no_such_host(spark: SparkSession) -> None:
    assert refusal(spark, "hdfs://nowhere.invalid:8020/logs").startswith(
        "hdfs://nowhere.invalid:8020/logs: cannot be reached: nowhere.invalid; correct its address"
    )


def test_a_silent_namenode(spark: SparkSession, silent: str) -> None:
    assert "cannot be reached: no answer within 10 s; " in refusal(spark, f"hdfs://{silent}/logs")


@pytest.mark.parametrize(
    ("url", "connector"),
    [
        ("gs://shop/logs", "--packages com.google.cloud.bigdataoss:gcs-connector"),
        ("abfss://logs@shop.dfs.core.windows.net/x", "--packages org.apache.hadoop:hadoop-azure:3."),
        pytest.param(
            "s3a://shop/logs",
            "--packages org.apache.hadoop:hadoop-aws:3.",
            marks=pytest.mark.skipif(HAS_S3A, reason="this Spark has the connector, from ../shared"),
        ),
    ],
)
def test_no_connector(spark: SparkSession, url: str, connector: str) -> None:
    line = refusal(spark, url)
    assert "Spark has no connector for it; start Spark with --packages" in line
    assert connector in line


@needs_s3a
def test_nobody_listens_to_s3(spark: SparkSession) -> None:
    with hadoop_settings(spark, {**S3A, "fs.s3a.endpoint": f"http://{NOBODY}"}):
        assert "s3://shop/logs: cannot be reached: Connection refused; " in refusal(spark, "s3a://shop/logs")


@needs_s3a
def test_a_silent_s3_server(spark: SparkSession, silent: str) -> None:
    with hadoop_settings(spark, {**S3A, "fs.s3a.endpoint": f"http://{silent}"}):
        assert "cannot be reached: no answer within 10 s; " in refusal(spark, "s3a://shop/logs")


@needs_s3a
def test_no_credentials_at_all(spark: SparkSession) -> None:
    keys = {"fs.s3a.access.key": "", "fs.s3a.secret.key": ""}
    with hadoop_settings(spark, {**S3A, **keys, "fs.s3a.endpoint": f"http://{NOBODY}"}):
        assert "s3://shop/logs: access denied: " in refusal(spark, "s3a://shop/logs")


@pytest.mark.cluster
@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"fs.s3a.secret.key": "planted-secret"}, "access denied: The request signature we calculated does not match"),
        ({"fs.s3a.access.key": "planted-key-id"}, "access denied: The access key ID you provided does not exist"),
    ],
)
def test_a_wrong_key(spark: SparkSession, s3: Store, settings: dict[str, str], reason: str) -> None:
    with hadoop_settings(spark, settings):
        line = refusal(spark, f"{s3.root}logs")
    assert line.startswith(f"{s3.root}logs: {reason}")
    assert "correct the credentials in the environment or in Hadoop's configuration" in line


@pytest.mark.cluster
def test_no_such_bucket(spark: SparkSession, s3: Store) -> None:
    line = refusal(spark, "s3://no-such-bucket/logs")
    assert line == "s3://no-such-bucket/logs: there is no such bucket or container; correct its name"


@pytest.mark.cluster
def test_the_users_number_of_tries_holds(spark: SparkSession, s3: Store) -> None:
    """Only what nobody has set is set for listings."""
    with hadoop_settings(spark, {"fs.s3a.retry.limit": "nonsense"}):
        line = refusal(spark, f"{s3.root}logs")
    assert "nonsense" in line
