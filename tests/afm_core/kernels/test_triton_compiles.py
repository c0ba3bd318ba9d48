"""The Triton kernels compile for GPUs, which needs none: the interpreter takes what the compiler would refuse.

The compiler's report says whether registers spill, which makes a kernel several times slower.
"""

import os
import subprocess
import sys

import pytest

from tests.support.files import ROOT

pytest.importorskip("triton")
ALL = ["16", "32", "64", "128", "256", "10"]


@pytest.mark.parametrize("sizes", [["256"], pytest.param(ALL, marks=pytest.mark.long)], ids=["256", "all"])
def test_the_kernels_compile_for_every_card_without_spills(sizes: list[str]) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    command = [sys.executable, "-m", "tests.benchmarks.compile_report", "--size", *sizes]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
