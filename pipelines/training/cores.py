"""The CPU cores on which a rank computes."""

import os

_own_cores: list[int] = []


def pin_to_own_cores(local_rank: int, local_size: int) -> None:
    """Pin this process, and the threads that it will start, to its share of the cores.

    Otherwise Horovod's threads and those of other ranks migrate between cores, and all ranks wait for the slowest. Does
    nothing if the process is pinned already, or if there are fewer cores than ranks.
    """
    cores = sorted(os.sched_getaffinity(0))
    share = len(cores) // local_size
    if local_size > 1 and share and len(cores) == os.cpu_count():
        _own_cores[:] = cores[local_rank * share : (local_rank + 1) * share]
        os.sched_setaffinity(0, _own_cores)


def n_threads(local_size: int) -> int:
    """Number of threads with which a rank computes."""
    return len(_own_cores) or max(1, len(os.sched_getaffinity(0)) // local_size)
