"""A job with a fault: python job_with_fault.py FAULT ARGUMENTS -- JOB the arguments of the job.

kill PHASE                 SIGKILL the process group when the job reaches the phase
truncate PHASE             write a few bytes to the file of the phase, then SIGKILL
remove-bundle [OTHER]      remove the bundle, or replace it by OTHER, once the job has checked it
limit-file-size BYTES      writing more to one file fails, as on a full disk
read-from-disk             a training never keeps its rows in memory
wait FOLDER MODEL STEP     every rank of a training waits after a step of a model, see training_gate.py
"""

import os
import resource
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from pipelines import phases  # noqa: E402


def kill(wanted: str) -> None:
    def listener(phase: str, context: object) -> None:
        if phase == wanted:
            os.killpg(0, signal.SIGKILL)

    phases.listen(listener)


def truncate(wanted: str) -> None:
    def listener(phase: str, context: Any) -> None:
        if phase == wanted:
            context.write_bytes(b"PAR1")
            os.killpg(0, signal.SIGKILL)

    phases.listen(listener)


def remove_bundle(*other: str) -> None:
    def listener(phase: str, context: Any) -> None:
        if phase == phases.BUNDLE_CHECKED:
            shutil.rmtree(context.path)
            if other:
                shutil.copytree(other[0], context.path)

    phases.listen(listener)


def limit_file_size(size: str) -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(size), int(size)))


def read_from_disk() -> None:
    import pipelines.training.train

    pipelines.training.train.fits_in_memory = lambda *arguments: False


def wait(folder: str, model: str, step: str) -> None:
    from tests.support.training_gate import Gate

    gate = Gate(Path(folder), model, int(step))

    def listener(phase: str, context: Any) -> None:
        if phase != phases.STEP_DONE or (context.model, context.global_step) != (gate.model, gate.step):
            return
        gate.arrived(context.rank).touch()
        while not (gate.opened.exists() or context.is_stopping):
            time.sleep(0.01)

    phases.listen(listener)
    if "HOROVOD_ELASTIC" in os.environ:
        tell_of_other_hosts(gate)


def tell_of_other_hosts(gate: Any) -> None:
    from horovod.common.elastic import State

    hear = State.on_hosts_updated

    def hear_and_tell(self: State, *news: Any) -> None:
        hear(self, *news)
        gate.told.touch()

    State.on_hosts_updated = hear_and_tell


FAULTS = {
    "kill": kill,
    "truncate": truncate,
    "remove-bundle": remove_bundle,
    "limit-file-size": limit_file_size,
    "read-from-disk": read_from_disk,
    "wait": wait,
}


if __name__ == "__main__":
    separator = sys.argv.index("--")
    fault, *fault_arguments = sys.argv[1:separator]
    name, *job_arguments = sys.argv[separator + 1 :]
    FAULTS[fault](*fault_arguments)
    import importlib

    importlib.import_module(f"jobs.{name}").main(job_arguments)
