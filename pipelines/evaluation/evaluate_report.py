"""An evaluation as short tables."""

from rich.table import Table

from afm_core.learning.metrics import Metric, metrics_at
from afm_core.settings import Settings
from pipelines.console import bar, columns, facts
from pipelines.evaluation.evaluate import SPLIT, Evaluation
from pipelines.evaluation.promotion import Promotion

_PAIRS_SHOWN = 5


def metrics_table(settings: Settings, evaluation: Evaluation) -> Table:
    """One row a metric, one column a model."""
    shown = {
        name: metric
        for name, metric in metrics_at(settings.evaluate.k).items()
        if any(name in values for values in evaluation.metrics.values())
    }
    rows = [
        [
            _title(metric, settings),
            *[f"{values[name]:.4f}" if name in values else "" for values in evaluation.metrics.values()],
        ]
        for name, metric in shown.items()
    ]
    return columns(f"{SPLIT} split, {evaluation.rows:,} rows", ["", *evaluation.metrics], rows)


def attention_table(evaluation: Evaluation) -> Table:
    """The most attended pairs of fields."""
    uniform = 1.0 / max(1, len(evaluation.attention))
    most = max((pair.mean_weight for pair in evaluation.attention), default=1.0)
    rows = [
        [
            " x ".join(pair.fields),
            f"{pair.mean_weight:.4f}",
            f"{pair.mean_weight / uniform:.1f}",
            bar(pair.mean_weight / most),
        ]
        for pair in evaluation.attention[:_PAIRS_SHOWN]
    ]
    title = f"most attended of {len(evaluation.attention)} pairs of fields"
    return columns(title, ["pair", "mean weight", "x uniform", ""], rows)


def promotion_table(settings: Settings, promotion: Promotion) -> Table:
    """What was asked of a new bundle, and what became of it."""
    against = f"against {promotion.current}" if promotion.current else "nothing to compare with"
    rows = [
        [check.what, f"{check.found:.4f}", check.allowed, "" if check.passed else "refused"]
        for check in promotion.checks
    ]
    outcome = "promoted" if promotion.promoted else "not promoted"
    return columns(f"{outcome} {settings.name} {promotion.new}, {against}", ["", "found", "allowed", ""], rows)


def plan_table(settings: Settings) -> Table:
    """What an evaluation would do."""
    return facts(
        f"would evaluate {settings.name}",
        [
            ("bundle", str(settings.run.bundle)),
            ("dataset", f"{settings.dataset.path}, {SPLIT} split"),
            ("write", str(settings.run.path / "evaluation.json")),
        ],
    )


def _title(metric: Metric, settings: Settings) -> str:
    return f"{metric.title} by {settings.group_field}" if metric.need == "lists" else metric.title
