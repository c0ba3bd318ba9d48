"""The library compiled from `native/`, if it exists."""

import ctypes
from functools import cache
from pathlib import Path

import torch


@cache
def native_library() -> ctypes.CDLL | None:
    """The library, or None if it was not compiled or cannot be loaded."""
    assert torch.__version__  # torch must be loaded first, so that the library shares its OpenMP threads
    for path in sorted(Path(__file__).parent.glob("_native*.so")):
        try:
            library = ctypes.CDLL(str(path))
        except OSError:
            continue
        if not hasattr(library, "afm_gibbs_weights"):  # compiled from sources of an earlier release
            continue
        for counting in (library.afm_active_bits, library.afm_sum_rows, library.afm_distinct):
            counting.restype = ctypes.c_int64
        library.afm_forward.restype = library.afm_backward.restype = library.afm_gather_rows.restype = ctypes.c_bool
        return library
    return None
