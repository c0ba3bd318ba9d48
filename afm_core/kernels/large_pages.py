"""Large memory pages for large tables."""

import ctypes
import mmap
import sys

from torch import Tensor

_LARGE = 32 * 2**20  # bytes; the processor's translation buffers cover smaller tables anyway
_MADV_HUGEPAGE = 14


def on_large_pages(tensor: Tensor) -> Tensor:
    """Return the tensor after asking Linux to back its memory with pages of 2 MiB, if it is large and on the CPU.

    The rows of a batch are scattered over a large table, and large pages save the processor most address translations.
    Call it before anything is written to the tensor: pages are created on the first write.
    """
    size = tensor.numel() * tensor.element_size()
    if tensor.device.type == "cpu" and size >= _LARGE and sys.platform == "linux":
        start = -(-tensor.data_ptr() // mmap.PAGESIZE) * mmap.PAGESIZE
        length = tensor.data_ptr() + size - start
        ctypes.CDLL(None).madvise(ctypes.c_void_p(start), ctypes.c_size_t(length), ctypes.c_int(_MADV_HUGEPAGE))
    return tensor
