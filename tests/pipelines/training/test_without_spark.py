"""A machine that trains needs no Spark, and one whose GPU is measured neither Spark nor Petastorm nor Horovod."""

import subprocess
import sys

import pytest

from tests.support.files import ROOT

REFUSED = """
import sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {refused}:
            raise ImportError(f"{{name}} is not there")

sys.meta_path.insert(0, Refuse())
import {module}
"""


@pytest.mark.parametrize(
    ("module", "refused"),
    [("jobs.train", ("pyspark", "py4j")), ("tests.benchmarks.gpu", ("pyspark", "py4j", "petastorm", "horovod"))],
)
def test_it_is_imported_without_them(module: str, refused: tuple[str, ...]) -> None:
    program = REFUSED.format(module=module, refused=refused)
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
