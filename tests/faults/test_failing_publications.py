"""Every system call of every publication is killed at and failed at: readers find the previous version or the new one.

There is no exchange of two folders (RENAME_EXCHANGE), as on NFS.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.files import ROOT
from tests.support.small import Small

_LEAST_POINTS = {
    "dataset": 100,
    "plain folder of an earlier release": 100,
    "bundle": 100,
    "promoted bundle": 100,
    "roll-back": 20,
    "night": 60,
    "checkpoint": 20,
}


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    built = tmp_path_factory.mktemp("library") / "failing_calls.so"
    source = ROOT / "tests" / "support" / "failing_calls.cpp"
    compiler = os.environ.get("CXX", "c++")
    subprocess.run([compiler, "-shared", "-fPIC", "-std=c++17", "-o", built, source, "-ldl"], check=True)
    return built


@pytest.mark.skipif(sys.platform != "linux", reason="LD_PRELOAD is Linux's")
@pytest.mark.parametrize(
    ("which", "ways"),
    [
        ("disk", "two"),
        pytest.param("disk", "every", marks=pytest.mark.long),
        pytest.param("table", "every", marks=pytest.mark.long),
    ],
)
def test_no_reader_finds_less_than_a_whole_version_and_the_next_run_repairs_what_is_left(
    which: str, ways: str, small: Small, library: Path, tmp_path: Path
) -> None:
    """In two ways, each call is killed at and fails with one of three errors; in every way, with each of them."""
    least = _LEAST_POINTS if which == "disk" else {"night of a Delta table": 40}
    least = {name: points // (1 if ways == "every" else 2) for name, points in least.items()}
    command = [sys.executable, "-m", "tests.support.publication", which, ways, library, small.folder, tmp_path]
    preloaded = {**os.environ, "LD_PRELOAD": str(library), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=preloaded, cwd=ROOT, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr[-5000:]
    reports = json.loads(done.stdout.splitlines()[-1])
    print({name: (report["calls"], report["points"], report["reads"]) for name, report in reports.items()})
    assert [problem for report in reports.values() for problem in report["problems"]] == []
    assert {name: report["points"] >= least[name] for name, report in reports.items()} == dict.fromkeys(least, True)
    assert all(report["reads"] > report["points"] / 2 for report in reports.values())
