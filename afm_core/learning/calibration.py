"""A slope and an intercept for outputs, fitted on held-out rows: for probabilities (Platt 1999) or squared error."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

SumOverRanks = Callable[[list[float]], list[float]]
FitLine = Callable[[NDArray[np.float32], NDArray[np.float32], SumOverRanks], tuple[float, float]]
"""Outputs and labels of this rank's rows to a slope and an intercept, on every rank the same."""
Line = NDArray[np.float64]
_MAX_STEPS, _MIN_CHANGE, _DAMPING = 50, 1e-10, 1e-9


def fit_platt(
    output: NDArray[np.float32], label: NDArray[np.float32], sum_over_ranks: SumOverRanks
) -> tuple[float, float]:
    """The slope and intercept that maximise the likelihood of sigmoid(slope x output + intercept), by Newton's method.

    The labels are Platt's smoothed ones, (n+ + 1) / (n+ + 2) and 1 / (n- + 2), so that separable rows have a finite
    solution. Every rank passes its own rows and gets the same result. With one class only it is (1, 0), which changes
    nothing. Cost: one pass over the rows per step, about ten steps.

    Args:
        output: (N,) the model's outputs for the rows of this rank.
        label: (N,) -1 or 1.
        sum_over_ranks: adds up a list of numbers element-wise.
    """
    z, positive = output.astype(np.float64), label > 0
    n_positive, n_negative = sum_over_ranks([float(positive.sum()), float((~positive).sum())])
    if not n_positive or not n_negative:
        return 1.0, 0.0
    target = np.where(positive, (n_positive + 1) / (n_positive + 2), 1 / (n_negative + 2))

    def loss_of(line: Line) -> float:
        logit = line[0] * z + line[1]
        return sum_over_ranks([float((np.logaddexp(0.0, logit) - target * logit).sum())])[0]

    def derivatives(line: Line) -> tuple[Line, Line]:
        p = 0.5 * (1.0 + np.tanh(0.5 * (line[0] * z + line[1])))
        return p - target, p * (1 - p)

    return _fit(z, loss_of, derivatives, sum_over_ranks)


def fit_clipped(
    output: NDArray[np.float32], label: NDArray[np.float32], sum_over_ranks: SumOverRanks
) -> tuple[float, float]:
    """The slope and intercept with the least squared hinge loss, max(0, 1 - label (slope x output + intercept))^2.

    That is the squared error where outputs beyond their label are right, as clipped scores are. By Newton's method on a
    convex, piecewise quadratic loss; every rank passes its own rows and gets the same result. Cost as `fit_platt`.

    Args:
        output: (N,) the model's outputs for the rows of this rank.
        label: (N,) -1 or 1.
        sum_over_ranks: adds up a list of numbers element-wise.
    """
    z, y = output.astype(np.float64), label.astype(np.float64)

    def short_of(line: Line) -> Line:
        return np.asarray(np.maximum(0.0, 1.0 - y * (line[0] * z + line[1])))

    def loss_of(line: Line) -> float:
        return sum_over_ranks([float((0.5 * short_of(line) ** 2).sum())])[0]

    def derivatives(line: Line) -> tuple[Line, Line]:
        short = short_of(line)
        return -y * short, (short > 0.0).astype(np.float64)

    return _fit(z, loss_of, derivatives, sum_over_ranks)


def _fit(
    z: Line,
    loss_of: Callable[[Line], float],
    derivatives: Callable[[Line], tuple[Line, Line]],
    sum_over_ranks: SumOverRanks,
) -> tuple[float, float]:
    """The slope and intercept of the least convex loss, by Newton's method; steps that go too far are halved.

    Args:
        z: (N,) outputs.
        derivatives: maps a line to the first and second derivative of each row's loss by slope z + intercept.
    """
    line = np.array([1.0, 0.0])
    loss = loss_of(line)
    for _ in range(_MAX_STEPS):
        first, second = derivatives(line)
        terms = (first * z, first, second * z**2, second * z, second)
        sums = sum_over_ranks([float(term.sum()) for term in terms])
        gradient, hessian = np.array(sums[:2]), np.array([[sums[2], sums[3]], [sums[3], sums[4]]])
        step = np.linalg.solve(hessian + (_DAMPING * np.trace(hessian) + 1e-12) * np.eye(2), gradient)
        while (next_loss := loss_of(line - step)) > loss and np.abs(step).max() >= _MIN_CHANGE:
            step /= 2
        if next_loss > loss:
            break
        line, loss = line - step, next_loss
        if np.abs(step).max() < _MIN_CHANGE:
            break
    return float(line[0]), float(line[1])
