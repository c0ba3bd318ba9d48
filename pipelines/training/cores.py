"""Which of the machine's cores a rank computes on."""

import os

_kept: list[int] = []


def keep_to_own_cores(local_rank: int, local_size: int) -> None:
    """Let this process, and the threads that it will start, run on its share of the cores only.

    Otherwise the threads of Horovod and those of other ranks push each other from core to core, and all wait for
    whichever rank had bad luck. Where somebody has given out cores already, or there are too few, nothing is done.
    """
    cores = sorted(os.sched_getaffinity(0))
    share = len(cores) // local_size
    if local_size > 1 and share and len(cores) == os.cpu_count():
        _kept[:] = cores[local_rank * share : (local_rank + 1) * share]
        os.sched_setaffinity(0, _kept)


def n_threads(local_size: int) -> int:
    """How many threads a rank computes with."""
    return len(_kept) or max(1, len(os.sched_getaffinity(0)) // local_size)
