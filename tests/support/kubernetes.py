"""The pod that spark-submit would ask Kubernetes for, as Spark's own code describes it; no Kubernetes is needed."""

import re
import shlex
from argparse import ArgumentParser, Namespace
from typing import Any

import yaml
from pyspark.sql import SparkSession

from tests.support.documented import documented_commands


def documented_command() -> list[str]:
    """The arguments of the documented spark-submit, as a shell would pass them."""
    block = documented_commands("k8s://")
    volumes = re.search(r'volume\(\) \{ echo "(.+?)"; \}\n', block, re.DOTALL)
    assert volumes
    command = re.sub(r"\$\(volume (\w+)\)", lambda use: volumes[1].replace("$1", use[1]), block[volumes.end() :])
    return shlex.split(command)[1:]


def driver_pod(spark: SparkSession, arguments: list[str]) -> dict[str, Any]:
    """The manifest of the driver.

    Uses `org.apache.spark.deploy.k8s`, which is not a public interface of Spark.
    """
    options, job = _parsed(arguments)
    jvm = spark._jvm
    conf = jvm.org.apache.spark.SparkConf(False)
    conf.set("spark.app.name", "prepare").set("spark.master", options.master)
    conf.set("spark.submit.deployMode", options.deploy_mode).set("spark.submit.pyFiles", options.py_files)
    for setting in options.conf:
        conf.set(*setting.split("=", 1))
    strings = spark._sc._gateway.new_array(jvm.String, len(job) - 1)
    for position, argument in enumerate(job[1:]):
        strings[position] = argument
    kubernetes, fabric8 = jvm.org.apache.spark.deploy.k8s, jvm.io.fabric8.kubernetes.client
    described = kubernetes.KubernetesConf.createDriverConf(
        conf,
        "spark-1",
        kubernetes.submit.PythonMainAppResource(job[0]),
        "org.apache.spark.deploy.PythonRunner",
        strings,
        jvm.scala.Option.empty(),
    )
    client = fabric8.KubernetesClientBuilder().build()
    try:
        built = kubernetes.submit.KubernetesDriverBuilder().buildFromFeatures(described, client).pod()
    finally:
        client.close()
    pod, container = (
        yaml.safe_load(fabric8.utils.Serialization.asYaml(part)) for part in (built.pod(), built.container())
    )
    pod["spec"].setdefault("containers", []).append(container)
    return pod


def _parsed(arguments: list[str]) -> tuple[Namespace, list[str]]:
    """The options of spark-submit, and the job with its own arguments."""
    parser = ArgumentParser()
    for option in ("--master", "--deploy-mode", "--py-files"):
        parser.add_argument(option)
    parser.add_argument("--conf", action="append", default=[])
    (script,) = [position for position, argument in enumerate(arguments) if argument.endswith("/prepare.py")]
    return parser.parse_args(arguments[:script]), arguments[script:]
