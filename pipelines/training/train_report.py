"""Tables of what a training has done or would do."""

import torch
from rich.table import Table
from torch import nn

from afm_core.models import Shape, build_model
from afm_core.settings import Settings
from pipelines.console import facts
from pipelines.feeding.memory import bytes_needed, fits_in_memory
from pipelines.training.fitted import Fit, Run
from pipelines.training.sampling import is_sampled
from pipelines.training.stages import planned, scaled_to, training_stages
from pipelines.training.train import open_dataset, shard_plan

_FLOAT_BYTES = 4
_ROUNDING = 1e-5


def _parameters(settings: Settings, shape: Shape) -> tuple[int, int]:
    """Bytes of the tables with sparse gradients, and of everything else; nothing is allocated."""
    with torch.device("meta"):
        model = build_model(settings.model, shape)
    tables = sum(part.weight.numel() for part in model.modules() if isinstance(part, nn.Embedding) and part.sparse)
    return tables * _FLOAT_BYTES, (sum(weight.numel() for weight in model.parameters()) - tables) * _FLOAT_BYTES


def _mib(size: int) -> str:
    return f"{size / 2**20:,.1f} MiB"


def fit_table(settings: Settings, run: Run, ranks: int) -> Table:
    """Best epoch and bundle of each model that was trained."""
    rows: list[tuple[str, str]] = []
    before: Fit | None = None
    for stage, fitted in run.fits:
        best = (
            f"valid {fitted.best.metric} {fitted.best.valid:.4f} at epoch {fitted.best.epoch} of {len(fitted.epochs)}"
        )
        steps = f"{fitted.epochs[0].steps:,} steps per epoch on {ranks} rank(s)"
        if is_sampled(stage.settings):
            best = f"valid {fitted.best.metric} {fitted.best.valid:.4f}"
            steps = f"mean of {stage.settings.train.sweeps:,} sweeps of Gibbs sampling"
        rows.append((stage.name, f"{best}, {steps}"))
        rows.extend(("", line) for line in [*_advice(fitted, before), str(stage.bundle or "not published")])
        before = fitted
    return facts(f"trained {settings.name}", rows)


def _advice(fitted: Fit, before: Fit | None) -> list[str]:
    """What to do where a training did not improve what it started from.

    Args:
        before: the warm start that was trained before it.
    """
    best = fitted.best
    if before and best.valid > (1.0 + _ROUNDING) * before.best.valid:
        return [f"worse than what it started from ({before.best.valid:.4f}); lower train.learning_rate"]
    if best.epoch == 0:
        return ["no epoch was better than what it started from, which is kept; lower train.learning_rate"]
    return []


def plan_table(settings: Settings, ranks: int) -> Table:
    """What a training would do, from the settings and the manifest alone."""
    dataset = open_dataset(settings)
    settings = planned(scaled_to(settings, ranks), dataset)
    plan = shard_plan(settings, dataset, "train", 0, ranks)
    shape = Shape.of(dataset.feature_map)
    tables, dense = _parameters(settings, shape)
    rows = plan.local_batch * shape.n_columns
    sent = min(rows, shape.n_ids) * tables // shape.n_ids + dense
    reading = "kept in memory after the first epoch" if fits_in_memory(dataset, ranks) else "read again every epoch"
    return facts(
        f"would train {settings.name}",
        [
            ("models", ", then ".join(stage.name for stage in training_stages(settings))),
            ("dataset", str(settings.dataset.path)),
            ("training split", f"{plan.rows:,} rows in {plan.n_files:,} files"),
            ("ranks", f"{ranks}, {plan.rank_rows(0):,} rows and {plan.steps:,} steps per epoch each"),
            ("files of rank 0", f"{len(plan.slices(list(range(plan.n_files)))):,} per epoch, whole or in part"),
            ("rows", f"{_mib(bytes_needed(dataset))} per rank, validation rows included; {reading}"),
            ("parameters", f"{_mib(tables + dense)}, and the same again for each state of the optimiser"),
            ("sent per step", f"at most {_mib(sent)} from each rank" if ranks > 1 else "nothing"),
            *[(f"{stage.name} bundle", str(stage.bundle)) for stage in training_stages(settings) if stage.bundle],
        ],
    )
