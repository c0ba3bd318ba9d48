"""The directions of imports, and the size of rooms."""

import ast
import re
import statistics
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import grimp
import pytest

from tests.support.files import ROOT

PACKAGES = ("afm_core", "pipelines", "jobs")
WITHOUT_SPARK = ("train", "evaluate", "compare", "search", "export", "promote", "predict", "doctor", "schema", "afm")
WITHOUT_TRAINING = (
    *("simulate_logs", "partition", "prepare", "score", "recommend", "evaluate", "promote", "export"),
    *("predict", "doctor", "schema", "afm"),
)
"""Jobs that run on clusters, whose packages are newer than those that training is pinned to."""
OF_TRAINING = {"petastorm", "horovod", "optuna", "tensorboard"}


@cache
def import_graph() -> grimp.ImportGraph:
    return grimp.build_graph(*PACKAGES)


def modules(*folders: str) -> list[Path]:
    return [path for folder in folders for path in (ROOT / folder).rglob("*.py")]


def n_lines(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def imported_names(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{name.name}" for name in node.names)
        elif isinstance(node, ast.Import):
            yield from (name.name for name in node.names)


def test_imports_keep_their_directions() -> None:
    command = [str(Path(sys.executable).parent / "lint-imports")]
    report = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert report.returncode == 0, report.stdout
    assert re.search(r"Contracts: [1-9]\d* kept, 0 broken\.", report.stdout)


def test_no_imports_are_circular() -> None:
    graph = import_graph()
    assert len(graph.modules) > 100
    chains = (
        (module, imported)
        for module in graph.modules
        for imported in graph.find_modules_directly_imported_by(module)
        if graph.find_shortest_chain(importer=imported, imported=module)
    )
    assert list(chains) == []


def test_every_package_is_under_a_contract() -> None:
    """Import-linter's settings name each room of the core and each stage of the pipelines."""
    settings = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    rooms = [path.parent for path in modules("afm_core", "pipelines") if path.name == "__init__.py"]
    names = {".".join(room.relative_to(ROOT).parts[:2]) for room in rooms if room.parent != ROOT}
    assert not {name for name in names if f'"{name}' not in settings and f"| {name}" not in settings}


def test_jobs_without_spark_do_not_import_it() -> None:
    code = f"import sys, {', '.join(f'jobs.{job}' for job in WITHOUT_SPARK)}; sys.exit('pyspark' in sys.modules)"
    outcome = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert outcome.returncode == 0, outcome.stderr


def test_jobs_that_do_not_train_import_nothing_of_the_training_environment() -> None:
    code = f"import sys, {', '.join(f'jobs.{job}' for job in WITHOUT_TRAINING)}; print(*sys.modules)"
    outcome = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert outcome.returncode == 0, outcome.stderr
    imported = {name.partition(".")[0] for name in outcome.stdout.split()}
    assert "jobs" in imported
    assert not imported & OF_TRAINING


def test_no_module_is_too_long() -> None:
    paths = modules(*PACKAGES, "tests", "conf")
    assert len(paths) > 150
    assert not {str(path.relative_to(ROOT)): n_lines(path) for path in paths if n_lines(path) > 250}


def test_the_median_module_is_short() -> None:
    assert statistics.median(n_lines(path) for path in modules(*PACKAGES) if n_lines(path)) < 90


def test_tests_share_code_through_support_only() -> None:
    shared = {
        f"{path.relative_to(ROOT)}: {name}"
        for path in modules("tests")
        for name in imported_names(path)
        if re.search(r"^tests\.(.*\.)?(test_\w+|conftest)(\.|$)", name)
    }
    assert not shared


@pytest.mark.parametrize("text", ["from tests.end_to_end.test_nights import scores", "import tests.conftest"])
def test_an_import_between_tests_would_be_noticed(tmp_path: Path, text: str) -> None:
    path = tmp_path / "test_example.py"
    path.write_text(text)
    assert any(re.search(r"^tests\.(.*\.)?(test_\w+|conftest)(\.|$)", name) for name in imported_names(path))
