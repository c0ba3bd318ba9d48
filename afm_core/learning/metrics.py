"""Metrics of scored rows: pure functions over arrays of scores and labels (-1 or 1), float64 inside."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from afm_core.learning.prediction import to_probability

_LEAST_PROBABILITY = 1e-6  # a clipped score of exactly -1 or 1 must not make the log loss infinite

Floats = NDArray[np.floating[Any]]


def rmse(score: Floats, label: Floats) -> float:
    """Root of the mean squared error; the paper's metric."""
    return float(np.sqrt(np.mean(np.square(score.astype(np.float64) - label))))


def mae(score: Floats, label: Floats) -> float:
    """Mean absolute error."""
    return float(np.mean(np.abs(score.astype(np.float64) - label)))


def log_loss(score: Floats, label: Floats) -> float:
    """Mean negative log likelihood (nats) of the probability (score + 1) / 2, kept 1e-6 away from 0 and 1."""
    positive = np.clip(to_probability(score), _LEAST_PROBABILITY, 1.0 - _LEAST_PROBABILITY)
    return float(-np.mean(np.log(np.where(label > 0, positive, 1.0 - positive))))


def auc(score: Floats, label: Floats) -> float:
    """Area under the ROC curve, exact, ties counted half (the Mann-Whitney statistic); NaN with one class only.

    Cost: one sort of the N scores.
    """
    positive = label > 0
    n_positive, n_negative = int(positive.sum()), int((~positive).sum())
    if not n_positive or not n_negative:
        return float("nan")
    _, group, size = np.unique(score, return_inverse=True, return_counts=True)
    mean_rank = np.cumsum(size) - (size - 1) / 2.0
    rank_sum = float(mean_rank[group][positive].sum())
    return (rank_sum - n_positive * (n_positive + 1) / 2.0) / (n_positive * n_negative)


def all_metrics(score: Floats, label: Floats) -> dict[str, float]:
    """Every metric of this module, by the name that tables and JSON use."""
    return {
        "rmse": rmse(score, label),
        "mae": mae(score, label),
        "log_loss": log_loss(score, label),
        "auc": auc(score, label),
    }
