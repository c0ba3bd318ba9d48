"""Speed and memory of a step, in our environment or in the peers'."""

import time
from collections.abc import Callable
from pathlib import Path

import torch

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")

_STEPS_AT_ONCE = 10
Step = Callable[[], object]


def rate(step: Step, rows: int, seconds: float) -> float:
    """Rows a second, over at least so many seconds."""
    count, start = 0, time.perf_counter()
    while True:
        step()
        count += 1
        if DEVICE.type == "cuda":
            if count % _STEPS_AT_ONCE and seconds:  # the host may run ahead, as in a training
                continue
            torch.cuda.synchronize()
        elapsed = time.perf_counter() - start
        if elapsed >= seconds:
            return count * rows / elapsed


def peak_mib(step: Step) -> float:
    """How much more memory than before the process, or the GPU, held at some moment of a step."""
    if DEVICE.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        step()
        return (torch.cuda.max_memory_allocated() - before) / 2**20
    Path("/proc/self/clear_refs").write_text("5")
    before = _status("VmRSS")
    step()
    return (_status("VmHWM") - before) / 1024


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name))
