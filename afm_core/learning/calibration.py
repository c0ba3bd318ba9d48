"""A slope and an intercept for outputs, fitted on held-out rows: for probabilities (Platt 1999) or squared error."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

SumOverRanks = Callable[[list[float]], list[float]]
FitLine = Callable[[NDArray[np.float32], NDArray[np.float32], SumOverRanks], tuple[float, float]]
"""Outputs and labels of this rank's rows to a slope and an intercept, on every rank the same."""
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
    parameters = np.array([1.0, 0.0])
    loss = _loss(parameters, z, target, sum_over_ranks)
    for _ in range(_MAX_STEPS):
        p = _sigmoid(parameters[0] * z + parameters[1])
        residual, curvature = p - target, p * (1 - p)
        terms = (residual * z, residual, curvature * z**2, curvature * z, curvature)
        sums = sum_over_ranks([float(term.sum()) for term in terms])
        gradient, hessian = np.array(sums[:2]), np.array([[sums[2], sums[3]], [sums[3], sums[4]]])
        step = np.linalg.solve(hessian + _DAMPING * np.trace(hessian) * np.eye(2) + 1e-12 * np.eye(2), gradient)
        while (next_loss := _loss(parameters - step, z, target, sum_over_ranks)) > loss:
            step /= 2
            if np.abs(step).max() < _MIN_CHANGE:
                return float(parameters[0]), float(parameters[1])
        parameters, loss = parameters - step, next_loss
        if np.abs(step).max() < _MIN_CHANGE:
            break
    return float(parameters[0]), float(parameters[1])


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

    def hinge(parameters: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(np.maximum(0.0, 1.0 - y * (parameters[0] * z + parameters[1])))

    def loss_of(parameters: NDArray[np.float64]) -> float:
        return sum_over_ranks([float((hinge(parameters) ** 2).sum())])[0]

    parameters = np.array([1.0, 0.0])
    loss = loss_of(parameters)
    for _ in range(_MAX_STEPS):
        short = hinge(parameters)
        counts, residual = short > 0.0, -y * short
        terms = (residual * z, residual, counts * z**2, counts * z, counts)
        sums = sum_over_ranks([float(term.sum()) for term in terms])
        gradient, hessian = np.array(sums[:2]), np.array([[sums[2], sums[3]], [sums[3], sums[4]]])
        step = np.linalg.solve(hessian + (_DAMPING * np.trace(hessian) + 1e-12) * np.eye(2), gradient)
        while (next_loss := loss_of(parameters - step)) > loss and np.abs(step).max() >= _MIN_CHANGE:
            step /= 2
        if np.abs(step).max() < _MIN_CHANGE:
            break
        parameters, loss = parameters - step, next_loss
    return float(parameters[0]), float(parameters[1])


def _loss(
    parameters: NDArray[np.float64],
    z: NDArray[np.float64],
    target: NDArray[np.float64],
    sum_over_ranks: SumOverRanks,
) -> float:
    logit = parameters[0] * z + parameters[1]
    return sum_over_ranks([float((np.logaddexp(0.0, logit) - target * logit).sum())])[0]


def _sigmoid(logit: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * logit)), dtype=np.float64)
