"""Running work in a single process, or on the ranks that horovodrun has started. Nothing else imports Horovod."""

import os
from collections.abc import Callable
from typing import Any, TypeVar

from afm_core.errors import LostRankError
from afm_core.settings import Settings
from afm_core.settings.run import RunSettings
from pipelines.console import messages
from pipelines.training.communicator import Communicator, SingleProcess
from pipelines.training.cores import pin_to_own_cores
from pipelines.training.horovod_communicator import HorovodCommunicator
from pipelines.training.run_lock import held_run, run_held_by_rank_0

R = TypeVar("R")
_HEARTBEATS = "ranks"


def run_on_ranks(settings: Settings, work: Callable[[Communicator, bool], R], resume: bool = False) -> R:
    """Call `work(ranks, resume)`, in a single process or as one of the ranks that horovodrun has started.

    In elastic training (horovodrun --min-np) the work is called again, with `resume`, whenever ranks join or leave.

    Raises:
        BusyError: another training holds the run; on all ranks alike.
        MachineError: the run's folder cannot be locked, or its store cannot be reached; on all ranks alike.
        LostRankError: another rank has died, or has kept the others waiting for more than `train.stall_seconds`; the
            message names it.
    """
    if "HOROVOD_RANK" not in os.environ:
        with held_run(settings.run, take_over=resume) as require_run:
            return work(SingleProcess(require_run), resume)
    limit = str(settings.train.stall_seconds)
    os.environ.setdefault("HOROVOD_STALL_SHUTDOWN_TIME_SECONDS", limit)
    os.environ.setdefault("HOROVOD_STALL_CHECK_TIME_SECONDS", str(max(1, settings.train.stall_seconds // 2)))
    os.environ.setdefault("HOROVOD_GLOO_TIMEOUT_SECONDS", limit)
    import horovod.torch as hvd
    from horovod.common.exceptions import HorovodInternalError

    elastic = "HOROVOD_ELASTIC" in os.environ
    if not elastic:
        pin_to_own_cores(int(os.environ["HOROVOD_LOCAL_RANK"]), int(os.environ["HOROVOD_LOCAL_SIZE"]))
    hvd.init()
    if elastic:
        return _run_elastic(hvd, settings.run, work, resume)
    ranks = None
    try:
        with run_held_by_rank_0(settings.run, resume, hvd.rank(), _broadcast) as require_run:
            ranks = HorovodCommunicator(hvd, settings.run.work / _HEARTBEATS, require_run)
            return work(ranks, resume)
    except HorovodInternalError as error:
        missing = ranks.heartbeats.missing_ranks() if ranks else "another rank was lost before it had begun"
        raise LostRankError(
            f"rank {hvd.rank()} of {hvd.size()} cannot continue: {missing}; restart with --resume auto"
        ) from error


def _run_elastic(hvd: Any, run: RunSettings, work: Callable[[Communicator, bool], R], resume: bool) -> R:
    from horovod.common.elastic import State, run_fn
    from horovod.torch.functions import broadcast_object

    class CheckpointState(State):  # type: ignore[misc]
        """Horovod's state of an elastic training. It is empty: ranks meet again at the checkpoints of the run."""

        resume_work = resume

        def save(self) -> None: ...

        def restore(self) -> None:
            messages.print("  a rank is gone; the others continue from the last checkpoint")

        def sync(self) -> None: ...

        def reset(self) -> None:
            self.resume_work = True

    def attempt(state: CheckpointState) -> R:
        with run_held_by_rank_0(run, state.resume_work, hvd.rank(), _broadcast) as require_run:
            ranks = HorovodCommunicator(hvd, run.work / _HEARTBEATS, require_run, state.check_host_updates)
            return work(ranks, state.resume_work)

    result: R = run_fn(attempt, _restart_horovod())(CheckpointState(broadcast_object, hvd.rank))
    return result


def _broadcast(value: Any) -> Any:
    """What rank 0 gives."""
    from horovod.torch.functions import broadcast_object

    return broadcast_object(value, name="run_lock")  # by default it is named by its type, which differs between ranks


def _restart_horovod() -> Callable[[], None]:
    """Horovod's function that shuts it down and initialises it with the new set of ranks.

    It is private to Horovod; the public `horovod.torch.elastic.run` passes the same function to `run_fn`, but wraps
    only functions of torch states. Checked with Horovod 0.28.1.
    """
    from horovod.torch.elastic import _reset

    reset: Callable[[], None] = _reset
    return reset
