"""An evaluation as short tables."""

from rich.table import Table

from afm_core.settings import Settings
from pipelines.console import bar, columns, facts
from pipelines.evaluation.job import SPLIT, Evaluation

_PAIRS_SHOWN = 5


def metrics_table(evaluation: Evaluation) -> Table:
    """One row a model."""
    rows = [
        [model, *[f"{values[name]:.4f}" for name in ("rmse", "mae", "log_loss", "auc")]]
        for model, values in evaluation.metrics.items()
    ]
    return columns(f"{SPLIT} split, {evaluation.rows:,} rows", ["model", "RMSE", "MAE", "log loss", "AUC"], rows)


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
