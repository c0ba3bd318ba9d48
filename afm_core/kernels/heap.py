"""How the C library handles memory that a training step has freed."""

import ctypes
import sys

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # parameters of glibc's mallopt(3)
_MAX_MMAP_THRESHOLD = 32 * 2**20  # bytes; the largest value that mallopt accepts
_MAX_KEPT = 2**30  # bytes


def keep_freed_memory() -> None:
    """Keep freed memory for the next step instead of returning it to the system, which zeroes new pages each time.

    Otherwise the tensors of a few megabytes that every step allocates are new pages in every step. Up to 1 GiB of free
    memory at the end of the heap is kept; tensors above 32 MiB are returned as before. Has no effect without glibc.
    """
    if sys.platform != "linux":
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:
        return
    mallopt(_MMAP_THRESHOLD, _MAX_MMAP_THRESHOLD)
    mallopt(_TRIM_THRESHOLD, _MAX_KEPT)
