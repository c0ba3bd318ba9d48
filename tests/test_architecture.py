"""The directions of imports, and the size of rooms."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def test_imports_keep_their_directions() -> None:
    command = [str(Path(sys.executable).parent / "lint-imports")]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout
    assert re.search(r"Contracts: [1-9]\d* kept, 0 broken\.", found.stdout)


@pytest.mark.parametrize("job", ["train", "evaluate", "compare", "search", "export", "promote"])
def test_jobs_without_spark_do_not_import_it(job: str) -> None:
    code = f"import sys, jobs.{job}; sys.exit('pyspark' in sys.modules)"
    outcome = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert outcome.returncode == 0, f"jobs.{job} imports pyspark {outcome.stderr}"


def test_no_module_outgrows_its_room() -> None:
    modules = [path for folder in ("afm_core", "pipelines", "jobs") for path in (ROOT / folder).rglob("*.py")]
    assert len(modules) > 50
    long = {
        str(path.relative_to(ROOT)): lines for path in modules if (lines := len(path.read_text().splitlines())) > 250
    }
    assert not long
