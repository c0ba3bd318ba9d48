"""Subnormal numbers, with which processors of Intel compute some thirty times slower."""

import torch


def flush_subnormals() -> None:
    """Take numbers below 1.2e-38 for zero, in this thread and in those that it starts from now on.

    A strong L2 regularisation drives weights and the averages of the optimiser there. Training, evaluation and scoring
    call this before they start a thread that computes, so that all of them compute the same. Has no effect on
    processors without such a setting.
    """
    torch.set_flush_denormal(True)
