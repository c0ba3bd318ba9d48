"""One training at a time writes to a run: two would remove each other's checkpoints."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from afm_core.errors import AfmError
from afm_core.settings.run import RunSettings
from afm_core.storage.locks import locked
from afm_core.storage.owner_objects import owned
from afm_core.storage.paths import is_local
from afm_core.storage.publishing import Condition, do_not_ask
from pipelines.training.collectives import Collectives

OWNER = "training.json"


@contextmanager
def held_run(run: RunSettings, take_over: bool) -> Iterator[Condition]:
    """Hold a run for the length of the block. Yields the condition that it is still held.

    The lock of its folder on this machine ends with the process. Where the run is a URL, its object `training.json`
    names the owner as well, which outlives a process that is killed.

    Args:
        take_over: take the place of another owner of a URL, as a training does that continues one that was killed.

    Raises:
        BusyError: another training holds the run; the message names it.
        MachineError: the folder cannot be locked, or the store cannot be reached.
    """
    with ExitStack() as held:
        conditions = [held.enter_context(locked(run.work)).require_held]
        if not is_local(run.path):
            conditions.append(held.enter_context(owned(f"{run.path}/{OWNER}", take_over)).require_held)

        def require_held() -> None:
            for condition in conditions:
                condition()

        yield require_held


@contextmanager
def run_held_by_rank_0(run: RunSettings, take_over: bool, collectives: Collectives) -> Iterator[Condition]:
    """As `held_run`, for a training on several ranks. Rank 0 holds the run, and if it cannot, all ranks say so."""
    with ExitStack() as held:
        condition, problem = do_not_ask, None
        if collectives.rank == 0:
            try:
                condition = held.enter_context(held_run(run, take_over))
            except AfmError as error:
                problem = error
        problem = collectives.broadcast_object(problem)
        if problem is not None:
            raise problem
        yield condition
