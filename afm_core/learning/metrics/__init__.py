"""Metrics of scored rows, one per file: pure functions that compute in float64."""

from collections.abc import Sequence

from afm_core.learning.metrics.auc import AUC
from afm_core.learning.metrics.average_precision import AVERAGE_PRECISION
from afm_core.learning.metrics.calibration_ratio import CALIBRATION_RATIO
from afm_core.learning.metrics.expected_calibration_error import CALIBRATION_ERROR
from afm_core.learning.metrics.hit_rate import hit_rate_at
from afm_core.learning.metrics.list_auc import LIST_AUC
from afm_core.learning.metrics.log_loss import LOG_LOSS
from afm_core.learning.metrics.mae import MAE
from afm_core.learning.metrics.ndcg import ndcg_at
from afm_core.learning.metrics.normalised_entropy import NORMALISED_ENTROPY
from afm_core.learning.metrics.rmse import RMSE
from afm_core.learning.metrics.scored import Metric, Scored

BY_ROWS: dict[str, Metric] = {
    "rmse": RMSE,
    "mae": MAE,
    "log_loss": LOG_LOSS,
    "auc": AUC,
    "average_precision": AVERAGE_PRECISION,
    "normalised_entropy": NORMALISED_ENTROPY,
    "calibration_ratio": CALIBRATION_RATIO,
    "expected_calibration_error": CALIBRATION_ERROR,
}
"""Metrics of rows as such, by their name in JSON."""


def metrics_at(ks: Sequence[int]) -> dict[str, Metric]:
    """All metrics by their name in JSON; the ranking metrics once for each K in `ks`."""
    at_k = {f"{name}_at_{k}": of(k) for k in ks for name, of in (("hit_rate", hit_rate_at), ("ndcg", ndcg_at))}
    return {**BY_ROWS, "list_auc": LIST_AUC, **at_k}


def all_metrics(scored: Scored, ks: Sequence[int]) -> dict[str, float]:
    """Every metric that can be computed for these rows, by its name in JSON."""
    return {name: metric.of(scored) for name, metric in metrics_at(ks).items() if scored.has(metric.need)}


__all__ = ["BY_ROWS", "Metric", "Scored", "all_metrics", "metrics_at"]
