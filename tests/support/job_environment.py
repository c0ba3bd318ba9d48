"""The Python environment of a job as an archive: what `pip install .` and `venv-pack` make on a user's machine."""

import os
import shutil
import subprocess
import sys
import venv
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.support.files import ROOT

PROJECT = ("afm_core", "pipelines", "jobs")
BROUGHT_BY_SPARK = {"pyspark", "py4j"}
"""spark-submit sends its own to YARN: an archive without them is 450 MB smaller and fits Spark's version."""
UNUSED_BY_JOBS = ("*/torch/include/*", "*/tests/*")


def job_environment(folder: Path) -> Path:
    """A virtual environment of the project and its dependencies, linked from this one: pip would need the network.

    Without an editable installation, so that its processes cannot find the project anywhere else.
    """
    venv.create(folder, symlinks=True)
    packages = folder / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"
    for name in _with_dependencies("attentional-fm") - {"attentional-fm"}:
        found = distribution(name)
        for file in found.files or ():
            if ".." not in file.parts and "__pycache__" not in file.parts:
                _link(Path(str(found.locate_file(file))), packages / file)
    for package in PROJECT:
        for source in (ROOT / package).rglob("*"):
            if source.is_file() and "__pycache__" not in source.parts:
                target = packages / source.relative_to(ROOT)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, target)
    return folder


def pack(environment: Path, archive: Path) -> None:
    """`venv-pack`, as the docs run it."""
    program = shutil.which("venv-pack", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    if program is None:
        pytest.skip("needs the program venv-pack (pip install venv-pack)")
    command = [program, "--quiet", "--prefix", str(environment), "--output", str(archive), "--compress-level", "1"]
    for pattern in UNUSED_BY_JOBS:
        command += ["--exclude", pattern]
    subprocess.run(command, check=True)


def _with_dependencies(name: str) -> set[str]:
    """The names of a distribution, of all that it requires, and of the clients of HDFS and Delta; no other extras."""
    found, waiting = set[str](), [name, "hdfs-native", "deltalake"]
    while waiting:
        current = waiting.pop()
        if current in found | BROUGHT_BY_SPARK:
            continue
        found.add(current)
        requirements = map(Requirement, distribution(current).requires or ())
        needed = [each for each in requirements if each.marker is None or each.marker.evaluate({"extra": ""})]
        waiting += [each.name.lower().replace("_", "-") for each in needed]
    return found


def _link(source: Path, target: Path) -> None:
    """A second name of the file where the file system allows it, else a copy."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
