"""Running work in a single process, or on the ranks that horovodrun has started. Nothing else imports Horovod."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from afm_core.errors import LostRankError
from afm_core.settings import Settings
from pipelines.console import messages
from pipelines.training.communicator import Communicator, SingleProcess
from pipelines.training.cores import pin_to_own_cores
from pipelines.training.horovod_communicator import HorovodCommunicator

R = TypeVar("R")


def run_on_ranks(settings: Settings, work: Callable[[Communicator, bool], R], resume: bool = False) -> R:
    """Call `work(ranks, resume)`, in a single process or as one of the ranks that horovodrun has started.

    In elastic training (horovodrun --min-np) the work is called again, with `resume`, whenever ranks join or leave.

    Raises:
        LostRankError: another rank has died, or has kept the others waiting for more than `train.stall_seconds`; the
            message names it.
    """
    if "HOROVOD_RANK" not in os.environ:
        return work(SingleProcess(), resume)
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
    heartbeats = settings.run.work / "ranks"
    if elastic:
        return _run_elastic(hvd, heartbeats, work, resume)
    ranks = HorovodCommunicator(hvd, heartbeats)
    try:
        return work(ranks, resume)
    except HorovodInternalError as error:
        raise LostRankError(
            f"rank {ranks.rank} of {ranks.size} cannot continue: {ranks.heartbeats.missing_ranks()}; "
            "restart with --resume auto"
        ) from error


def _run_elastic(hvd: Any, heartbeats: Path, work: Callable[[Communicator, bool], R], resume: bool) -> R:
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
        return work(HorovodCommunicator(hvd, heartbeats, state.check_host_updates), state.resume_work)

    result: R = run_fn(attempt, _restart_horovod())(CheckpointState(broadcast_object, hvd.rank))
    return result


def _restart_horovod() -> Callable[[], None]:
    """Horovod's function that shuts it down and initialises it with the new set of ranks.

    It is private to Horovod; the public `horovod.torch.elastic.run` passes the same function to `run_fn`, but wraps
    only functions of torch states. Checked with Horovod 0.28.1.
    """
    from horovod.torch.elastic import _reset

    reset: Callable[[], None] = _reset
    return reset
