"""What a report says about a model: aggregates of the rows of a sample."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from afm_core.bundle import Bundle
from afm_core.features.feature_table import read_feature_table
from afm_core.learning.metrics.auc import auc
from afm_core.learning.metrics.log_loss import LOG_LOSS
from afm_core.learning.metrics.rmse import RMSE
from afm_core.learning.metrics.scored import Metric, Scored
from afm_core.settings import Settings
from pipelines.evaluation.report.sample import Sample

_BINS, _VALUES_SHOWN, _REPEATS = 10, 6, 3
_ANY_NUMBER = "any number"


@dataclass(frozen=True)
class Bin:
    """Rows with neighbouring probabilities."""

    rows: int
    predicted: float
    """Mean P(positive)."""
    observed: float
    """Share of positives."""


@dataclass(frozen=True)
class ValueResult:
    """The rows of one value of a field."""

    value: str
    rows: int
    positives: float
    """Share of positives; of labels that are numbers, their mean."""
    predicted: float
    """Mean of what the model predicts for that."""
    error: float
    """The report's metric of these rows."""


@dataclass(frozen=True)
class Importance:
    """How much worse the model is where the values of a field are exchanged between rows."""

    field: str
    increase: float
    """Mean increase of the metric, or decrease of AUC, over the permutations."""


def metric_of(bundle: Bundle, scored: Scored) -> Metric | None:
    """The metric that training monitors; None where it is one of pairs of rows, as in ranking."""
    metric = {"RMSE": RMSE, "log loss": LOG_LOSS}.get(bundle.calibrated_model.task.monitor)
    return metric if metric and scored.has(metric.need) else None


def calibration_bins(scored: Scored) -> list[Bin]:
    """Rows in ten bins with equal numbers of rows, from the least probability to the greatest."""
    if not scored.has("probability") or scored.probability is None:
        return []
    order = np.argsort(scored.probability, kind="stable")
    return [
        Bin(len(rows), float(scored.probability[rows].mean()), float(scored.positive[rows].mean()))
        for rows in np.array_split(order, _BINS)
        if len(rows)
    ]


def popularity(sample: Sample, bundle: Bundle, settings: Settings) -> Scored | None:
    """The rows scored by how often their item occurs in the logs; None where no negatives were drawn for them."""
    if not settings.per_positive:
        return None
    replaced = settings.negatives.replace[0]
    column = [field.name for field in bundle.feature_map.column_fields].index(replaced)
    counts = read_feature_table(bundle.features_path, ["id", "count"])["count"].fill_null(0).to_numpy()
    return Scored(counts[sample.batch.ids[:, column].numpy()].astype(np.float64), sample.label)


def errors_by_value(sample: Sample, bundle: Bundle, scored: Scored, values: pa.Array) -> dict[str, list[ValueResult]]:
    """For each field its most frequent values, the rest, and what is missing or was never seen.

    Of tags, the most frequent one of a row counts.

    Args:
        values: (n_ids,) the value of every id.
    """
    metric = metric_of(bundle, scored)
    if metric is None:
        return {}
    names = [field.name for field in bundle.feature_map.column_fields]
    found = {}
    for field in bundle.feature_map.fields:
        ids = sample.batch.ids[:, names.index(field.name)].numpy()
        groups = _groups(ids, field.unknown_id, None if field.x_column and field.size == 1 else values)
        if len(groups) > 1:
            found[field.name] = [_value_result(name, rows, scored, metric) for name, rows in groups]
    return found


def _groups(ids: NDArray[np.int64], unknown: int, values: pa.Array | None) -> list[tuple[str, NDArray[np.int64]]]:
    """The name and the rows of each group.

    Args:
        values: None for numbers, which have one id.
    """
    number, counts = np.unique(ids, return_counts=True)
    known = number[np.argsort(-counts, kind="stable")]
    known = known[(known != unknown) & (known != 0)]
    shown, others = known[:_VALUES_SHOWN], known[_VALUES_SHOWN:]
    groups = [
        (_ANY_NUMBER if values is None else str(values[int(id_)].as_py()), np.flatnonzero(ids == id_)) for id_ in shown
    ]
    groups += [(f"{len(others):,} others", np.flatnonzero(np.isin(ids, others)))] if len(others) else []
    is_unknown = np.flatnonzero(ids == unknown)
    return [*groups, ("missing or not seen in training", is_unknown)] if len(is_unknown) else groups


def _value_result(name: str, rows: NDArray[np.int64], scored: Scored, metric: Metric) -> ValueResult:
    part = _part(scored, rows)
    if part.has("probability") and part.probability is not None:
        positives, predicted = float(part.positive.mean()), float(part.probability.mean())
    else:
        assert part.value is not None
        positives, predicted = float(part.label.mean()), float(part.value.mean())
    return ValueResult(name, len(rows), positives, predicted, metric.of(part))


def _part(scored: Scored, rows: NDArray[np.int64]) -> Scored:
    value, probability = (None if each is None else each[rows] for each in (scored.value, scored.probability))
    return Scored(scored.score[rows], scored.label[rows], value, probability)


def importances(sample: Sample, bundle: Bundle, scored: Scored) -> list[Importance]:
    """Permutation importance (Breiman 2001) of each field, the most important first.

    Cost: three evaluations of the sample for each field.
    """
    metric, task = metric_of(bundle, scored), bundle.calibrated_model.task
    measure: Callable[[Scored], float] = metric.of if metric else lambda rows: -auc(rows)
    before, names = measure(scored), [field.name for field in bundle.feature_map.column_fields]
    found = []
    for field in bundle.feature_map.fields:
        columns = [at for at, name in enumerate(names) if name == field.name]
        after = [
            measure(sample.scored(bundle.scorer, task, sample.permuted(columns, seed)))
            for seed in range(1, _REPEATS + 1)
        ]
        found.append(Importance(field.name, float(np.mean(after)) - before))
    return sorted(found, key=lambda importance: -importance.increase)
