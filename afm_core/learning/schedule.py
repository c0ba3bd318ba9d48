"""The learning-rate schedule, as a factor of the configured learning rate."""

import math
from collections.abc import Iterable

from afm_core.settings.train import Schedule


def n_plateaus(results: Iterable[float]) -> int:
    """Number of validation results, where lower is better, that are no better than the best one before."""
    best, plateaus = math.inf, 0
    for result in results:
        plateaus += result >= best
        best = min(best, result)
    return plateaus


def rate_factor(step: int, steps: int, schedule: Schedule, warmup_steps: int = 0) -> float:
    """The factor at `step` (from 0) of `steps`.

    It rises linearly during the warm-up, then stays 1 (`constant`, `plateau`), or falls to 0 at the end linearly
    (`linear`) or along half a cosine (`cosine`; Loshchilov and Hutter 2017, without restarts).
    """
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    done = min(1.0, (step - warmup_steps) / max(1, steps - warmup_steps))
    match schedule:
        case "linear":
            return 1.0 - done
        case "cosine":
            return 0.5 * (1.0 + math.cos(math.pi * done))
        case _:
            return 1.0
