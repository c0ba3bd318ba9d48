"""Training from end to end: a dataset in, a bundle out."""

import os
from dataclasses import asdict
from pathlib import Path

import torch

from afm_core.bundle import write_bundle
from afm_core.errors import DatasetError
from afm_core.models import AFM, FM, AnyModel, Shape, build_model
from afm_core.settings import Settings
from pipelines.dataset import Dataset
from pipelines.feeding.feed import Feed
from pipelines.feeding.shard_plan import ShardPlan
from pipelines.training.card import model_card
from pipelines.training.communicator import Communicator
from pipelines.training.loop import Fit, fit
from pipelines.training.watching import Watcher


def train(settings: Settings, ranks: Communicator) -> dict[str, Fit]:
    """Train the warm start, if there is one, then the model; rank 0 writes a bundle of each. Returns the fits by name.

    Raises:
        DatasetError: no whole dataset, other fields than the settings', or a batch that the ranks cannot share.
    """
    dataset = open_dataset(settings)
    torch.set_num_threads(max(1, len(os.sched_getaffinity(0)) // ranks.local_size))
    feeds = [
        Feed(dataset, split, shard_plan(settings, dataset, split, ranks.rank, ranks.size), seed)
        for split, seed in (("train", settings.seed), ("valid", None))
    ]
    watcher = Watcher(settings.run.path / "history.jsonl", ranks.rank)
    shape, fits = Shape.of(dataset.feature_map), dict[str, Fit]()
    warm: AnyModel | None = None
    for stage, bundle in training_stages(settings):
        torch.manual_seed(settings.seed)
        model = build_model(stage.model, shape)
        if isinstance(model, AFM) and isinstance(warm, FM):
            assert settings.warm_start is not None
            model.start_from(warm.factors, settings.warm_start.start, shape.n_columns)
        if isinstance(model, AFM):
            watcher.starts(stage.model.name, f"attention by {model.describe_kernel(shape.n_columns)}")
        found = fit(model, stage, feeds[0], feeds[1], ranks, watcher)
        if ranks.rank == 0:
            metrics = {"valid_rmse": found.best.valid_rmse, "epochs": [asdict(epoch) for epoch in found.epochs]}
            card = model_card(stage, dataset.manifest, found.best, ranks.size)
            write_bundle(bundle, model, stage, dataset.features_path, dataset.counts_path, metrics, card)
        fits[stage.model.name] = found
        warm = model
    return fits


def training_stages(settings: Settings) -> list[tuple[Settings, Path]]:
    """The settings of each model to train, in order, and where its bundle goes."""
    main = (settings, settings.run.bundle)
    warm = settings.warm_start
    if warm is None:
        return [main]
    model = settings.model.model_copy(update={"name": warm.model, "pooled_dropout": warm.pooled_dropout})
    stage = settings.train.model_copy(update={"epochs": warm.epochs, "warm_start": None})
    return [(settings.model_copy(update={"model": model, "train": stage}), settings.run.warm_start_bundle), main]


def open_dataset(settings: Settings) -> Dataset:
    """The dataset of the settings, its fields compared with theirs."""
    dataset = Dataset.open(settings.dataset.path)
    if dataset.feature_map.names != settings.field_names:
        raise DatasetError(
            f"{settings.dataset.path}: holds the fields {', '.join(dataset.feature_map.names)}, the settings say "
            f"{', '.join(settings.field_names)}; prepare again"
        )
    return dataset


def shard_plan(settings: Settings, dataset: Dataset, split: str, rank: int, size: int) -> ShardPlan:
    """The division of a split between ranks, from the manifest."""
    rows = dataset.manifest.splits[split].rows
    return ShardPlan(rows, dataset.manifest.rows_per_file, settings.train.batch_size, rank, size)
