"""Platt scaling (1999): probabilities that mean what they say, by two numbers fitted on rows held out from training."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Sum = Callable[[list[float]], list[float]]
_STEPS, _CLOSE, _DAMPING = 50, 1e-10, 1e-9


def fit_platt(output: NDArray[np.float32], label: NDArray[np.float32], sum_over_ranks: Sum) -> tuple[float, float]:
    """Slope and intercept that make sigmoid(slope x output + intercept) likeliest, by Newton's method.

    The labels are Platt's smoothed ones, (n+ + 1) / (n+ + 2) and 1 / (n- + 2), so that separable rows have an answer.
    Every rank passes its own rows and gets the same answer. Cost: a pass over the rows a step, some ten steps.

    Args:
        output: (N,) outputs of the model on this rank.
        label: (N,) -1 or 1.
        sum_over_ranks: adds up a list of numbers element-wise.
    """
    z, positive = output.astype(np.float64), label > 0
    n_positive, n_negative = sum_over_ranks([float(positive.sum()), float((~positive).sum())])
    if not n_positive or not n_negative:
        return 1.0, 0.0
    target = np.where(positive, (n_positive + 1) / (n_positive + 2), 1 / (n_negative + 2))
    at = np.array([1.0, 0.0])
    loss = _loss(at, z, target, sum_over_ranks)
    for _ in range(_STEPS):
        p = _sigmoid(at[0] * z + at[1])
        slack, curve = p - target, p * (1 - p)
        sums = sum_over_ranks([float(x.sum()) for x in (slack * z, slack, curve * z**2, curve * z, curve)])
        gradient, hessian = np.array(sums[:2]), np.array([[sums[2], sums[3]], [sums[3], sums[4]]])
        step = np.linalg.solve(hessian + _DAMPING * np.trace(hessian) * np.eye(2) + 1e-12 * np.eye(2), gradient)
        while (tried := _loss(at - step, z, target, sum_over_ranks)) > loss:
            step /= 2
            if np.abs(step).max() < _CLOSE:
                return float(at[0]), float(at[1])
        at, loss = at - step, tried
        if np.abs(step).max() < _CLOSE:
            break
    return float(at[0]), float(at[1])


def _loss(at: NDArray[np.float64], z: NDArray[np.float64], target: NDArray[np.float64], sum_over_ranks: Sum) -> float:
    line = at[0] * z + at[1]
    return sum_over_ranks([float((np.logaddexp(0.0, line) - target * line).sum())])[0]


def _sigmoid(line: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * line)), dtype=np.float64)
