"""A machine that trains needs no Spark."""

import subprocess
import sys

from tests.support.files import ROOT

REFUSED = """
import sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("pyspark", "py4j"):
            raise ImportError(f"{name} is not there")

sys.meta_path.insert(0, Refuse())
import jobs.train
"""


def test_training_imports_no_spark() -> None:
    done = subprocess.run([sys.executable, "-c", REFUSED], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
