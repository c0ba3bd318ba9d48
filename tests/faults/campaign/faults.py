"""The faults: each strikes a job at a moment that its random generator chooses, and says how the job may end."""

import errno
import os
import random
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.faults.campaign.processes import Job, is_jvm, is_python_worker

DONE, NOTHING_TO_DO, RETRY, AT_FAULT, INTERRUPTED, TERMINATED = 0, 3, 75, 2, 130, 143
ENDED = frozenset({DONE, NOTHING_TO_DO})  # the fault came too late
_ERRORS = (errno.EIO, errno.ENOSPC)
_MOST_CALLS = 400


@dataclass(frozen=True)
class Strike:
    """What a fault does to one run."""

    job: Job
    seconds: float
    """How long an undisturbed run takes."""
    chance: random.Random

    def pause(self) -> None:
        """Wait for a random part of the run."""
        time.sleep(self.chance.uniform(0.0, self.seconds))


@dataclass(frozen=True)
class Fault:
    """A kind of fault."""

    name: str
    codes: frozenset[int]
    """Exit codes with which the run may end, besides those of a run that it came too late for."""
    strike: Callable[[Strike], None] = lambda strike: None
    environment: Callable[[random.Random, Path, Path], Mapping[str, str]] = lambda chance, root, library: {}
    """Variables of the run's processes, from the folder that it writes to and the library of failing calls."""


def _kill_driver(strike: Strike) -> None:
    strike.pause()
    _send(strike.job, signal.SIGKILL)


def _kill_group(strike: Strike) -> None:
    strike.pause()
    if strike.job.process.poll() is None:
        os.killpg(strike.job.process.pid, signal.SIGKILL)


def _kill_jvm(strike: Strike) -> None:
    strike.job.until(lambda: strike.job.below(is_jvm))
    strike.pause()
    for jvm in strike.job.below(is_jvm):
        jvm.kill()


def _kill_worker(strike: Strike) -> None:
    strike.job.until(lambda: strike.job.below(is_python_worker))
    time.sleep(strike.chance.uniform(0.0, 0.5))
    workers = strike.job.below(is_python_worker)
    if workers:
        strike.chance.choice(workers).kill()


def _signal(number: signal.Signals, times: int = 1) -> Callable[[Strike], None]:
    def strike_(strike: Strike) -> None:
        if strike.job.until_it_has_started():
            strike.pause()
        for _ in range(times):
            _send(strike.job, number)
            time.sleep(strike.chance.uniform(0.0, 0.3))

    return strike_


def _send(job: Job, number: signal.Signals) -> None:
    if job.process.poll() is None:
        job.process.send_signal(number)


def _failing_call(role: str) -> Callable[[random.Random, Path, Path], Mapping[str, str]]:
    def environment(chance: random.Random, root: Path, library: Path) -> Mapping[str, str]:
        return {
            "LD_PRELOAD": str(library),
            "PYTHONPATH": str(Path(__file__).parent / "preloaded"),
            "AFM_FAILING_ROLE": role,
            "AFM_FAILING_ROOT": str(root),
            "AFM_FAILING_AT": str(int(_MOST_CALLS ** chance.random())),  # as many among the first ten as after them
            "AFM_FAILING_ERROR": str(chance.choice(_ERRORS)),
        }

    return environment


_KILLED = frozenset({-signal.SIGKILL})
_BY_SIGTERM = frozenset({TERMINATED, -signal.SIGTERM})
_FAILED = frozenset({AT_FAULT, RETRY})

OF_ANY_JOB = (
    Fault("driver killed", _KILLED, _kill_driver),
    Fault("process group killed", _KILLED, _kill_group),
    Fault("SIGTERM", _BY_SIGTERM, _signal(signal.SIGTERM)),
    Fault("Ctrl-C", frozenset({INTERRUPTED}), _signal(signal.SIGINT)),
    Fault("Ctrl-C twice", frozenset({INTERRUPTED}), _signal(signal.SIGINT, 2)),
    Fault("a call of the driver fails", _FAILED, environment=_failing_call("driver")),
)
OF_SPARK_JOBS = (
    Fault("JVM killed", frozenset({RETRY}), _kill_jvm),
    Fault("Python worker killed", _FAILED, _kill_worker),
    Fault("a call of a worker fails", _FAILED, environment=_failing_call("worker")),
)
SECOND_RUN = Fault("second run", frozenset({RETRY}))
DAMAGE = Fault("damaged side file", frozenset())
EXECUTOR = Fault("executor killed", frozenset())
