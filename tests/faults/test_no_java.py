import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.config import NIGHT
from tests.support.files import ROOT
from tests.support.processes import finish, start_job
from tests.support.small import Small


@pytest.mark.parametrize("job", [["prepare", "--force"], ["score", "--date", NIGHT]], ids=["prepare", "score"])
@pytest.mark.parametrize("home", ["/nowhere", None], ids=["JAVA_HOME points nowhere", "no JAVA_HOME"])
def test_without_java_a_spark_job_ends_in_one_line(
    small: Small, tmp_path: Path, job: list[str], home: str | None
) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "JAVA_HOME"} | {"PATH": str(tmp_path)}
    if home is not None:
        environment["JAVA_HOME"] = home
    name, *arguments = job
    command = [sys.executable, str(ROOT / "jobs" / f"{name}.py"), "--config", str(small.config), *arguments]
    completed = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert completed.returncode == 2
    (line,) = completed.stderr.splitlines()
    assert line.startswith("error: ")
    assert "apt-get install openjdk-17-jre-headless" in line
    assert completed.stdout == ""


@pytest.fixture
def config(small: Small, tmp_path: Path) -> Path:
    return small.scoring_config(tmp_path)


def test_a_jvm_that_is_killed_while_it_starts_may_be_tried_again(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    java = tmp_path / "home" / "bin" / "java"
    java.parent.mkdir(parents=True)
    real = shutil.which("java", path=os.pathsep.join([f"{os.environ.get('JAVA_HOME', '')}/bin", os.environ["PATH"]]))
    kill = 'case "$*" in *launcher.Main*) ;; *SparkSubmit*) kill -KILL $$ ;; esac'
    java.write_text(f'#!/bin/sh\n{kill}\nexec {real} "$@"\n')
    java.chmod(0o755)
    monkeypatch.setenv("JAVA_HOME", str(java.parents[1]))
    (line,) = finish(start_job("score", config, "--date", NIGHT), 75).splitlines()
    assert "Spark's JVM was killed while it started" in line


def test_a_jvm_that_refuses_its_options_says_so(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JDK_JAVA_OPTIONS", "-XX:+UseSerialGC")
    (line,) = finish(start_job("score", config, "--date", NIGHT), 2).splitlines()
    assert "ultiple garbage collectors selected" in line
