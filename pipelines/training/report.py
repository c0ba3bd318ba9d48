"""A training as short tables."""

from rich.table import Table

from afm_core.models import Shape
from afm_core.settings import Settings
from pipelines.console import facts
from pipelines.training.job import open_dataset, shard_plan, training_stages
from pipelines.training.loop import Fit

_FLOAT_BYTES = 4


def fit_table(settings: Settings, fits: dict[str, Fit], ranks: int) -> Table:
    """What was trained."""
    rows: list[tuple[str, str]] = []
    for stage, bundle in training_stages(settings):
        found = fits[stage.model.name]
        best = f"valid {found.best.metric} {found.best.valid:.4f} at epoch {found.best.number} of {len(found.epochs)}"
        rows.append((stage.model.name, f"{best}, {found.best.steps:,} steps an epoch on {ranks} rank(s)"))
        rows.append(("", str(bundle)))
    return facts(f"trained {settings.name}", rows)


def plan_table(settings: Settings, ranks: int) -> Table:
    """What a training would do, from settings and manifest alone."""
    dataset = open_dataset(settings)
    plan = shard_plan(settings, dataset, "train", 0, ranks)
    model, (n_ids, m) = settings.model, Shape.of(dataset.feature_map)
    embedding = n_ids * (model.embedding_dim + 1) * _FLOAT_BYTES
    pairs = plan.local_batch * m * (m - 1) // 2 * model.embedding_dim * _FLOAT_BYTES
    return facts(
        f"would train {settings.name}",
        [
            ("models", ", then ".join(stage.model.name for stage, _ in training_stages(settings))),
            ("dataset", f"{plan.rows:,} training rows in {plan.n_files:,} files"),
            ("ranks", f"{ranks}, {plan.rank_rows(0):,} rows and {plan.steps:,} steps an epoch each"),
            ("embeddings", f"{embedding / 2**20:,.1f} MiB, and as much again for Adagrad and for gradients"),
            ("pairs a step", f"{pairs / 2**20:,.1f} MiB a rank"),
            ("bundle", str(settings.run.bundle)),
        ],
    )
