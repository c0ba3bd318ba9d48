"""`afm doctor` says what this machine lacks, in one line each."""

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

from jobs import doctor
from pipelines import machine_checks


def run(capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, str]]:
    """The exit code, and the line of each check."""
    code = 0
    try:
        doctor.main([])
    except SystemExit as exit_:
        code = int(exit_.code or 0)
    lines = [line for line in capsys.readouterr().out.splitlines()[1:] if line]
    return code, {line.split()[1]: line for line in lines}


def without(monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    def version_of(name: str) -> str:
        if name == package:
            raise PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(machine_checks, "version", version_of)


def test_a_machine_that_passes_these_tests_can_run_the_jobs(capsys: pytest.CaptureFixture[str]) -> None:
    code, lines = run(capsys)
    assert code == 0
    assert lines["Java"].startswith("ok ")
    assert lines["pyspark"].startswith("ok ")


def test_no_java(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    code, lines = run(capsys)
    assert code == 2
    assert lines["Java"].startswith("missing ")
    assert f"JAVA_HOME is {tmp_path}, which has none; install a JDK of Java 17 or 21" in lines["Java"]


def test_an_old_java(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    java = tmp_path / "bin" / "java"
    java.parent.mkdir()
    java.write_text("#!/bin/sh\necho 'openjdk version \"1.8.0_402\"' >&2\n")
    java.chmod(0o755)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    code, lines = run(capsys)
    assert code == 2
    assert "version 1.8.0_402; install a JDK of Java 17 or 21" in lines["Java"]


@pytest.mark.parametrize(
    ("package", "mark", "code", "remedy"),
    [
        ("horovod", "without", 0, "torchrun and training in one process do without"),
        ("petastorm", "missing", 2, "not installed, for training; run make setup"),
        ("pyspark", "missing", 2, "run make setup, and use .venv/bin/python"),
    ],
)
def test_a_missing_package(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], package: str, mark: str, code: int, remedy: str
) -> None:
    without(monkeypatch, package)
    found, lines = run(capsys)
    line = lines[{"horovod": "Horovod"}.get(package, package)]
    assert found == code
    assert line.startswith(f"{mark} ")
    assert remedy in line


def test_no_gpu_and_no_write_access(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr(machine_checks.os, "access", lambda *_: False)
    monkeypatch.chdir(tmp_path)
    code, lines = run(capsys)
    assert code == 2
    assert lines["GPU"].startswith("without ")
    assert f"{tmp_path} cannot be written to; change to a folder that can be" in lines["disk"]
