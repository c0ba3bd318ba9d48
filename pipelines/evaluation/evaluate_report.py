"""An evaluation and a promotion as tables for the terminal."""

from rich.table import Table

from afm_core.learning.metrics import Metric, metrics_at
from afm_core.settings import Settings
from pipelines.console import bar, columns, facts
from pipelines.evaluation.evaluate import RESULT_FILE, SETTINGS_FILE, SPLIT, Evaluation
from pipelines.evaluation.promotion import SPLIT as PROMOTION_SPLIT
from pipelines.evaluation.promotion import Promotion

_PAIRS_SHOWN = 5


def metrics_table(settings: Settings, evaluation: Evaluation) -> Table:
    """One row per metric, one column per model."""
    shown = {
        name: metric
        for name, metric in metrics_at(settings.evaluate.k).items()
        if any(name in values for values in evaluation.metrics.values())
    }
    rows = [
        [
            title_of(metric, settings),
            *[f"{values[name]:.4f}" if name in values else "" for values in evaluation.metrics.values()],
        ]
        for name, metric in shown.items()
    ]
    return columns(f"{SPLIT} split, {evaluation.rows:,} rows", ["", *evaluation.metrics], rows)


def attention_table(evaluation: Evaluation) -> Table:
    """The pairs of fields with the largest mean attention weights."""
    uniform = 1.0 / max(1, len(evaluation.attention))
    largest = max((pair.mean_weight for pair in evaluation.attention), default=1.0)
    rows = [
        [
            " x ".join(pair.fields),
            f"{pair.mean_weight:.4f}",
            f"{pair.mean_weight / uniform:.1f}",
            bar(pair.mean_weight / largest),
        ]
        for pair in evaluation.attention[:_PAIRS_SHOWN]
    ]
    title = f"most attended of {len(evaluation.attention)} pairs of fields"
    return columns(title, ["pair", "mean weight", "x uniform", ""], rows)


def promotion_table(settings: Settings, promotion: Promotion) -> Table:
    """The checks of a new bundle and their outcome."""
    against = f"against {promotion.current}" if promotion.current else "nothing to compare with"
    if promotion.not_compared:
        against = f"not compared with the current bundle, because {promotion.not_compared}"
    rows = [
        [check.name, f"{check.value:.4f}", check.allowed, "" if check.passed else "failed"]
        for check in promotion.checks
    ]
    outcome = "promoted" if promotion.promoted else "not promoted"
    return columns(f"{outcome} {settings.name} {promotion.new}, {against}", ["", "value", "allowed", ""], rows)


def plan_table(settings: Settings) -> Table:
    """What an evaluation with these settings would do."""
    return facts(
        f"would evaluate {settings.name}",
        [
            ("bundles", f"{settings.run.warm_start_bundle}, if the model started from it, and {settings.run.bundle}"),
            ("dataset", f"{settings.dataset.path}, {SPLIT} split"),
            ("write", f"{settings.run.path / RESULT_FILE} and {SETTINGS_FILE}"),
            ("report", str(settings.run.path / "report.html")),
        ],
    )


def promotion_plan_table(settings: Settings) -> Table:
    """What a promotion with these settings would do."""
    return facts(
        f"would promote {settings.name}",
        [
            ("new bundle", str(settings.run.bundle)),
            ("current bundle", f"{settings.run.current}, replaced if all checks pass"),
            ("dataset", f"{settings.dataset.path}, {PROMOTION_SPLIT} split"),
        ],
    )


def title_of(metric: Metric, settings: Settings) -> str:
    """The title of a metric, with the field by which rows are ranked."""
    return f"{metric.title} by {settings.group_field}" if metric.need == "lists" else metric.title
