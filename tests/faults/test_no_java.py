import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.config import NIGHT
from tests.support.files import ROOT
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
