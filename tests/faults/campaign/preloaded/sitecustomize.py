"""Run by every Python process of a job under a fault: makes one of its system calls fail, see failing_calls.cpp."""

import ctypes
import os
import sys

_ROLE = "worker" if "pyspark.daemon" in sys.orig_argv else "driver"

if os.environ.get("AFM_FAILING_ROLE") == _ROLE:
    _library = ctypes.CDLL(os.environ["LD_PRELOAD"])
    _library.failing_calls_arm(
        os.environ["AFM_FAILING_ROOT"].encode(), int(os.environ["AFM_FAILING_AT"]), int(os.environ["AFM_FAILING_ERROR"])
    )
