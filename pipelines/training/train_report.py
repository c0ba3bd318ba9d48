"""A training as short tables."""

import torch
from rich.table import Table
from torch import nn

from afm_core.models import Shape, build_model
from afm_core.settings import Settings
from pipelines.console import facts
from pipelines.feeding.memory import bytes_needed, fits_in_memory
from pipelines.training.loop import Fit
from pipelines.training.train import open_dataset, scaled_to, shard_plan, training_stages

_FLOAT_BYTES = 4


def _parameters(settings: Settings, shape: Shape) -> tuple[int, int]:
    """Bytes of the tables with sparse gradients, and of everything else; nothing is allocated."""
    with torch.device("meta"):
        model = build_model(settings.model, shape)
    tables = sum(part.weight.numel() for part in model.modules() if isinstance(part, nn.Embedding) and part.sparse)
    return tables * _FLOAT_BYTES, (sum(weight.numel() for weight in model.parameters()) - tables) * _FLOAT_BYTES


def _mib(size: int) -> str:
    return f"{size / 2**20:,.1f} MiB"


def fit_table(settings: Settings, fits: dict[str, Fit], ranks: int) -> Table:
    """What was trained."""
    rows: list[tuple[str, str]] = []
    for stage, bundle in training_stages(settings):
        found = fits.get(stage.model.name)
        if found is None:  # --from has no warm start
            continue
        best = f"valid {found.best.metric} {found.best.valid:.4f} at epoch {found.best.number} of {len(found.epochs)}"
        rows.append((stage.model.name, f"{best}, {found.best.steps:,} steps an epoch on {ranks} rank(s)"))
        rows.append(("", str(bundle)))
    return facts(f"trained {settings.name}", rows)


def plan_table(settings: Settings, ranks: int) -> Table:
    """What a training would do, from settings and manifest alone."""
    settings, dataset = scaled_to(settings, ranks), open_dataset(settings)
    plan = shard_plan(settings, dataset, "train", 0, ranks)
    shape = Shape.of(dataset.feature_map)
    tables, dense = _parameters(settings, shape)
    rows = plan.local_batch * shape.n_columns
    sent = min(rows, shape.n_ids) * tables // shape.n_ids + dense
    stays = "kept in memory after the first epoch" if fits_in_memory(dataset, ranks) else "read again every epoch"
    return facts(
        f"would train {settings.name}",
        [
            ("models", ", then ".join(stage.model.name for stage, _ in training_stages(settings))),
            ("dataset", f"{plan.rows:,} training rows in {plan.n_files:,} files"),
            ("ranks", f"{ranks}, {plan.rank_rows(0):,} rows and {plan.steps:,} steps an epoch each"),
            ("files of rank 0", f"{len(plan.slices(list(range(plan.n_files)))):,} an epoch, whole or in part"),
            ("rows", f"{_mib(bytes_needed(dataset))} a rank, with validation; {stays}"),
            ("parameters", f"{_mib(tables + dense)}, and as much again for each moment of the optimiser"),
            ("sent a step", f"at most {_mib(sent)} from each rank" if ranks > 1 else "nothing"),
            ("bundle", str(settings.run.bundle)),
        ],
    )
