"""Running work in a single process, or on the ranks that horovodrun or torchrun has started."""

from collections.abc import Callable
from typing import TypeVar

from afm_core.settings import Settings
from pipelines.training import horovod_launcher, torch_launcher
from pipelines.training.communicator import Communicator, SingleProcess
from pipelines.training.run_lock import held_run

R = TypeVar("R")


def run_on_ranks(settings: Settings, work: Callable[[Communicator, bool], R], resume: bool = False) -> R:
    """Call `work(ranks, resume)`, in a single process or as one of the ranks that a launcher has started.

    Where ranks are restarted (horovodrun --min-np, torchrun --max-restarts), the work is called again with `resume`.

    Raises:
        BusyError: another training holds the run; on all ranks alike.
        MachineError: the run's folder cannot be locked, or its store cannot be reached; on all ranks alike.
        LostRankError: another rank has died, or has kept the others waiting for more than `train.stall_seconds`; the
            message names it.
    """
    if horovod_launcher.has_started_this_process():
        return horovod_launcher.run(settings, work, resume)
    if torch_launcher.has_started_this_process():
        return torch_launcher.run(settings, work, resume)
    with held_run(settings.run, take_over=resume) as require_run:
        return work(SingleProcess(require_run), resume)
