"""What the C library does with memory that a step has given back."""

import ctypes
import sys

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # parameters of glibc's mallopt(3)
_LARGEST = 32 * 2**20  # bytes; what mallopt takes at most
_KEPT = 2**30


def keep_freed_memory() -> None:
    """Keep memory for the next step instead of giving it back to the system, which fills it with zeros each time.

    A step's tensors of a few megabytes are otherwise new pages in every step. Of what is free at the end of the heap up
    to 1 GiB is kept; tensors above 32 MiB go back as before. Only with glibc; elsewhere nothing is done.
    """
    if sys.platform != "linux":
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:
        return
    mallopt(_MMAP_THRESHOLD, _LARGEST)
    mallopt(_TRIM_THRESHOLD, _KEPT)
