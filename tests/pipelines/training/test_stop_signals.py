"""What SIGTERM does to a rank outside of the training loop: real processes, real signals."""

import os
import signal
import subprocess
import sys

from tests.support.files import ROOT

_RANK = """
import os, signal, sys, time
from pipelines.training.stop_signals import stop_requests

try:
    with stop_requests():
        raise ConnectionError("rank 1 is gone")
except ConnectionError as error:
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep({seconds})
    print(error)
    sys.exit(75)
"""


def _rank(seconds: float) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", _RANK.format(seconds=seconds)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment, check=False)


def test_a_rank_that_has_lost_another_one_says_so_before_sigterm_ends_it() -> None:
    ended = _rank(0.5)
    assert (ended.returncode, ended.stdout) == (75, "rank 1 is gone\n")


def test_a_rank_that_goes_on_is_ended_by_sigterm() -> None:
    assert _rank(30).returncode == 128 + signal.SIGTERM
