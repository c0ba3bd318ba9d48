"""What SIGTERM does to a rank outside of the training loop: real processes, real signals."""

import os
import signal
import subprocess
import sys

from tests.support.files import ROOT

_RANK = """
import os, signal, sys, time
from pipelines.training.stop_signals import stop_requests, time_to_report

def lose_a_rank():
    with time_to_report():
        with stop_requests():
            pass
        os.kill(os.getpid(), signal.SIGTERM)
        {then}

try:
    lose_a_rank()
except ConnectionError as error:
    time.sleep(0.5)
    print(error)
    sys.exit(75)
"""


def _rank(then: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", _RANK.format(then=then)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment, check=False)


def test_a_rank_that_has_lost_another_one_says_so_before_sigterm_ends_it() -> None:
    ended = _rank("raise ConnectionError('rank 1 is gone')")
    assert (ended.returncode, ended.stdout) == (75, "rank 1 is gone\n")


def test_a_rank_that_goes_on_is_ended_by_sigterm() -> None:
    assert _rank("time.sleep(30)").returncode == 128 + signal.SIGTERM
