"""The examples of conf/schedule, by the tools that read them where these are at hand."""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from pyspark.sql import SparkSession

from tests.support.kubernetes import documented_command, driver_pod

ROOT = Path(__file__).parents[1]
SCHEDULE = ROOT / "conf" / "schedule"
COMMAND = "jobs/score.py --config"


def options_in(text: str) -> set[str]:
    return set(re.findall(r"(?<= )--[a-z][a-z-]*", text)) - {"--master"}


@pytest.mark.parametrize("name", sorted(path.name for path in SCHEDULE.iterdir() if not path.name.endswith(".timer")))
def test_every_example_runs_a_command_that_exists(name: str) -> None:
    text = (SCHEDULE / name).read_text()
    lines = [line for line in text.splitlines() if COMMAND in line]
    assert lines
    shown = subprocess.run([sys.executable, ROOT / "jobs" / "score.py", "--help"], capture_output=True, text=True)
    for option in options_in(" ".join(lines)):
        assert f"{option} " in shown.stdout


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_accepts_its_units(tmp_path: Path) -> None:
    for unit in SCHEDULE.glob("*.service"), SCHEDULE.glob("*.timer"):
        for path in unit:
            text = path.read_text().replace("/opt/attentional-fm", str(tmp_path))
            (tmp_path / path.name).write_text(text)
    completed = subprocess.run(
        ["systemd-analyze", "verify", *map(str, tmp_path.glob("attentional*"))], capture_output=True, text=True
    )
    assert completed.returncode == 0, completed.stderr
    ours = [line for line in completed.stderr.splitlines() if "attentional-fm" in line]
    assert not ours


def test_a_line_of_cron_has_five_times_and_a_command() -> None:
    lines = [line for line in (SCHEDULE / "crontab").read_text().splitlines() if line and not line.startswith("#")]
    jobs = [line for line in lines if "=" not in line.split()[0]]
    assert len(jobs) == 1
    assert re.fullmatch(r"(?:[\d*/,-]+\s+){5}cd .+", jobs[0])


def test_the_cronjob_has_what_kubernetes_requires() -> None:
    job = yaml.safe_load((SCHEDULE / "cronjob.yaml").read_text())
    assert (job["apiVersion"], job["kind"]) == ("batch/v1", "CronJob")
    assert len(job["spec"]["schedule"].split()) == 5
    pod = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    assert pod["restartPolicy"] == "Never", "which podFailurePolicy requires"
    names = [container["name"] for container in pod["containers"]]
    rules = job["spec"]["jobTemplate"]["spec"]["podFailurePolicy"]["rules"]
    assert all(rule["onExitCodes"]["containerName"] in names for rule in rules)
    volumes = {volume["name"] for volume in pod["volumes"]}
    assert {mount["name"] for container in pod["containers"] for mount in container["volumeMounts"]} <= volumes


def require_valid(manifest: dict[str, Any]) -> None:
    """Valid in the newest version of Kubernetes that is known, and without any key that it does not have."""
    kubernetes = pytest.importorskip("kubernetes_validate", reason="needs kubernetes-validate")
    kubernetes.validate(manifest, kubernetes.latest_version(), strict=True)


def test_kubernetes_has_every_key_of_the_cronjob() -> None:
    job = yaml.safe_load((SCHEDULE / "cronjob.yaml").read_text())
    require_valid(job)
    job["spec"]["jobTemplate"]["spec"]["podFailurePolicies"] = {}
    with pytest.raises(Exception, match="podFailurePolicies"):
        require_valid(job)


def test_kubernetes_has_every_key_of_the_driver_that_the_documented_command_starts(spark: SparkSession) -> None:
    """The pod by Spark's own code, without a Kubernetes."""
    pod = driver_pod(spark, documented_command())
    require_valid(pod)
    (container,) = pod["spec"]["containers"]
    assert container["image"] == "IMAGE"
    assert container["args"][-3:] == ["local:///shared/prepare.py", "--config", "/shared/shop.yaml"]
    assert "/shared" in {mount["mountPath"] for mount in container["volumeMounts"]}
    assert {"claimName": "CLAIM", "readOnly": False} in [
        volume.get("persistentVolumeClaim") for volume in pod["spec"]["volumes"]
    ]


def with_spark_submit(folder: Path, code: int, printed: str, command: list[str]) -> subprocess.CompletedProcess[str]:
    """Run a command whose spark-submit prints this and ends with this code."""
    spark_submit = folder / "spark-submit"
    spark_submit.write_text(f"#!/bin/sh\necho '{printed}' >&2\nexit {code}\n")
    spark_submit.chmod(0o755)
    return subprocess.run(command, env={"PATH": f"{folder}:/usr/bin:/bin"}, capture_output=True, text=True)


@pytest.mark.parametrize(("code", "expected"), [(0, 0), (3, 0), (1, 1), (2, 2), (75, 75)])
def test_the_cronjob_sees_the_code_of_the_job_and_takes_nothing_to_do_for_done(
    tmp_path: Path, code: int, expected: int
) -> None:
    job = yaml.safe_load((SCHEDULE / "cronjob.yaml").read_text())
    (container,) = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    assert with_spark_submit(tmp_path, code, "", [*container["command"], *container["args"]]).returncode == expected


@pytest.mark.parametrize(
    ("code", "printed", "expected"),
    [
        (1, "ERROR Client: Application diagnostics message: User application exited with status 75", 75),
        (1, "Exception in thread main", 1),
        (75, "error: another run", 75),
        (0, "", 0),
    ],
)
def test_the_script_ends_with_the_code_that_yarn_reports(
    tmp_path: Path, code: int, printed: str, expected: int
) -> None:
    command = [str(SCHEDULE / "spark_submit.sh"), "--deploy-mode", "cluster"]
    completed = with_spark_submit(tmp_path, code, printed, command)
    assert (completed.returncode, completed.stdout.strip()) == (expected, printed)


def test_the_dag_is_python_and_airflow_takes_it_where_it_is_installed() -> None:
    source = (SCHEDULE / "airflow_dag.py").read_text()
    code = compile(source, "airflow_dag.py", "exec")
    pytest.importorskip("airflow", reason="Airflow is not installed; it wants an environment of its own")
    found: dict[str, object] = {}
    exec(code, found)
    assert found["dag"].task_ids == ["score"]  # type: ignore[attr-defined]
