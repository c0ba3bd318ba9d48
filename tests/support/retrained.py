"""Bundles in place of the one that a run has trained."""

from collections.abc import Callable
from pathlib import Path

import torch

from afm_core.bundle import Bundle, read_bundle, write_bundle
from afm_core.settings import Settings, load_settings
from pipelines.dataset import Dataset
from pipelines.feeding.feed import Feed
from pipelines.feeding.shard_plan import ShardPlan
from pipelines.training.train import frozen_rows


def spoil(config: Path, by: float) -> None:
    """Train a worse bundle: the same one with noise on its embeddings."""
    bundle = read_bundle(load_settings(config).run.bundle)
    torch.manual_seed(1)
    with torch.no_grad():
        weight = bundle.model.factors.embedding.weight
        weight += by * torch.randn_like(weight)
    _rewrite(config, bundle, bundle.settings)


def change_settings(config: Path, change: Callable[[Settings], Settings]) -> None:
    """Train the same bundle with other settings."""
    bundle = read_bundle(load_settings(config).run.bundle)
    _rewrite(config, bundle, change(bundle.settings))


def _rewrite(config: Path, bundle: Bundle, of_bundle: Settings) -> None:
    settings = load_settings(config)
    dataset = Dataset.open(settings.dataset.path)
    plan = ShardPlan(dataset.manifest.splits["valid"].rows, dataset.manifest.rows_per_file, 64, 0, 1)
    frozen = frozen_rows(Feed(dataset, "valid", plan, None))
    write_bundle(
        settings.run.bundle,
        bundle.calibrated_model,
        of_bundle,
        bundle.path,
        frozen,
        bundle.metrics,
        "card",
    )
