"""Large pages under large tables."""

import ctypes
import mmap
import sys

from torch import Tensor

_LARGE = 32 * 2**20  # bytes; below, the processor's own tables of pages suffice
_MADV_HUGEPAGE = 14


def on_large_pages(tensor: Tensor) -> Tensor:
    """The same tensor; where it is large and on Linux, its memory is asked to be pages of 2 MiB.

    The rows of a batch lie anywhere in a large table, and such pages spare the processor most look-ups of where that
    is. It is for a tensor that nothing was written to yet: pages come into being when they are first written.
    """
    size = tensor.numel() * tensor.element_size()
    if tensor.device.type == "cpu" and size >= _LARGE and sys.platform == "linux":
        start = -(-tensor.data_ptr() // mmap.PAGESIZE) * mmap.PAGESIZE
        length = tensor.data_ptr() + size - start
        ctypes.CDLL(None).madvise(ctypes.c_void_p(start), ctypes.c_size_t(length), ctypes.c_int(_MADV_HUGEPAGE))
    return tensor
