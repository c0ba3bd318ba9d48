"""Running work on the ranks that horovodrun has started. Nothing else imports Horovod."""

import os
from collections.abc import Callable
from typing import Any, TypeVar

from afm_core.settings import Settings
from afm_core.settings.run import RunSettings
from pipelines.console import messages
from pipelines.training.communicator import Communicator
from pipelines.training.connected_ranks import ConnectedRanks, lost_rank
from pipelines.training.cores import pin_to_own_cores
from pipelines.training.horovod_collectives import HorovodCollectives
from pipelines.training.run_lock import run_held_by_rank_0

R = TypeVar("R")


def has_started_this_process() -> bool:
    """Whether horovodrun has."""
    return "HOROVOD_RANK" in os.environ


def run(settings: Settings, work: Callable[[Communicator, bool], R], resume: bool) -> R:
    """As `run_on_ranks`. Elastic training (horovodrun --min-np) calls the work again whenever ranks join or leave."""
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
    collectives, ranks = HorovodCollectives(hvd), None
    try:
        with run_held_by_rank_0(settings.run, resume, collectives) as require_run:
            ranks = ConnectedRanks(collectives, settings.run.rank_heartbeats, require_run)
            return work(ranks, resume)
    except HorovodInternalError as error:
        raise lost_rank(collectives, ranks) from error


def _run_elastic(hvd: Any, run: RunSettings, work: Callable[[Communicator, bool], R], resume: bool) -> R:
    from horovod.common.elastic import State, run_fn

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
        collectives = HorovodCollectives(hvd)
        with run_held_by_rank_0(run, state.resume_work, collectives) as require_run:
            ranks = ConnectedRanks(
                collectives, run.rank_heartbeats, require_run, elastic=True, let_ranks_join=state.check_host_updates
            )
            return work(ranks, state.resume_work)

    result: R = run_fn(attempt, _restart_horovod())(CheckpointState(hvd.broadcast_object, hvd.rank))
    return result


def _restart_horovod() -> Callable[[], None]:
    """Horovod's function that shuts it down and initialises it with the new set of ranks.

    It is private to Horovod; the public `horovod.torch.elastic.run` passes the same function to `run_fn`, but wraps
    only functions of torch states. Checked with Horovod 0.28.1.
    """
    from horovod.torch.elastic import _reset

    reset: Callable[[], None] = _reset
    return reset
