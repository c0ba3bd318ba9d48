"""What the jobs need of a machine, and what is missing on this one."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

import afm_core

_JAVA_VERSIONS = (17, 21)
_PYTHON_FIRST, _PYTHON_AFTER, _PYTHON_OF_TRAINING = (3, 11), (3, 14), (3, 11)
_FREE_DISK_GIB, _FREE_MEMORY_GIB = 2.0, 2.0


@dataclass(frozen=True)
class Check:
    """One thing that was looked at."""

    name: str
    found: str
    remedy: str = ""
    """What to do; empty where nothing is missing."""
    is_needed: bool = True
    """Whether preparation, training in one process and scoring cannot run without it."""

    @property
    def prevents_jobs(self) -> bool:
        """Whether it is needed and missing."""
        return bool(self.remedy) and self.is_needed


def check_machine() -> list[Check]:
    """All checks, in the order in which to mend what they find."""
    return [
        _python(),
        _java(),
        _package("pyspark", "preparation and nights"),
        _package("petastorm", "training"),
        _package("torch", "training and scores"),
        *_optional(),
        _memory(),
        _disk(Path.cwd()),
    ]


def checks_as_text(checks: list[Check]) -> str:
    """One line per check, below one that says whether the jobs can run."""
    width = max(len(check.name) for check in checks)
    lines = [
        "the jobs cannot run here yet" if any(check.prevents_jobs for check in checks) else "the jobs can run here"
    ]
    for check in checks:
        mark = "ok" if not check.remedy else "missing" if check.is_needed else "without"
        told = f"{check.found}; {check.remedy}" if check.remedy else check.found
        lines.append(f"{mark:<7}  {check.name:<{width}}  {told}")
    return "\n".join(lines)


def _python() -> Check:
    found, here = sys.version.split()[0], sys.version_info[:2]
    if not _PYTHON_FIRST <= here < _PYTHON_AFTER:
        return Check("Python", found, "use Python 3.11, 3.12 or 3.13")
    if here != _PYTHON_OF_TRAINING:
        return Check("Python", found, "training needs Python 3.11; all other jobs run", is_needed=False)
    return Check("Python", found)


def _java() -> Check:
    home = os.environ.get("JAVA_HOME")
    program = str(Path(home, "bin", "java")) if home else "java"
    remedy = "install a JDK of Java 17 or 21, and set JAVA_HOME to its folder if there are several"
    try:
        told = subprocess.run([program, "-version"], capture_output=True, text=True, timeout=60, check=True).stderr
    except (OSError, subprocess.SubprocessError):
        return Check("Java", f"JAVA_HOME is {home}, which has none" if home else "not found", remedy)
    match = re.search(r'version "(\d+)[^"]*"', told)
    found = match[0].replace('"', "") if match else "of an unknown version"
    return Check("Java", found, "" if match and int(match[1]) in _JAVA_VERSIONS else remedy)


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _package(name: str, purpose: str) -> Check:
    found = _version(name)
    remedy = "run make setup, and use .venv/bin/python"
    return Check(name, found or f"not installed, for {purpose}", "" if found else remedy)


def _optional() -> Iterator[Check]:
    """What the jobs can do without, slower or with less."""
    horovod = _version("horovod")
    remedy = "run make setup for several ranks; torchrun and training in one process do without"
    yield Check("Horovod", horovod or "not installed", "" if horovod else remedy, is_needed=False)
    # Not through afm_core.kernels, which imports torch.
    compiled = sorted(Path(afm_core.__file__).parent.glob("kernels/_native*.so"))
    if compiled:
        yield Check("kernels", f"compiled, {compiled[0].name}")
    else:
        compiler = shutil.which("g++") or shutil.which("clang++")
        first = "" if compiler else "install a C++ compiler, then "
        remedy = f"{first}run make setup; until then torch computes, slower, and no FM is sampled"
        yield Check("kernels", "not compiled", remedy, is_needed=False)
    yield _gpu()


def _gpu() -> Check:
    if not _version("torch"):
        return Check("GPU", "unknown without torch", "install torch first", is_needed=False)
    import torch  # seconds, and not there on every machine that is checked

    if torch.cuda.is_available():
        return Check("GPU", torch.cuda.get_device_name(0))
    return Check("GPU", "none that torch can use", "training runs on the CPU", is_needed=False)


def _memory() -> Check:
    free = psutil.virtual_memory().available / 2**30
    remedy = "" if free >= _FREE_MEMORY_GIB else f"free some: {_FREE_MEMORY_GIB:.0f} GiB are little for a training"
    return Check("memory", f"{free:.1f} GiB free, {os.cpu_count()} cores", remedy, is_needed=False)


def _disk(folder: Path) -> Check:
    if not os.access(folder, os.W_OK):
        return Check("disk", f"{folder} cannot be written to", "change to a folder that can be, or set run.path to one")
    free = shutil.disk_usage(folder).free / 2**30
    remedy = "" if free >= _FREE_DISK_GIB else f"free some: less than {_FREE_DISK_GIB:.0f} GiB are soon full"
    return Check("disk", f"{free:.0f} GiB free in {folder}", remedy, is_needed=False)
