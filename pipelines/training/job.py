"""Training from end to end: a dataset in, a bundle out."""

import os
from dataclasses import asdict
from pathlib import Path

import torch

from afm_core.bundle import write_bundle
from afm_core.errors import DatasetError
from afm_core.models import AFM, Shape, build_model
from afm_core.settings import Settings
from pipelines.dataset import Dataset
from pipelines.feeding.feed import Feed
from pipelines.feeding.shard_plan import ShardPlan
from pipelines.training.card import model_card
from pipelines.training.communicator import Communicator
from pipelines.training.loop import Fit, fit
from pipelines.training.warm_start import open_warm_start, start_from
from pipelines.training.watching import Watcher


def train(settings: Settings, ranks: Communicator) -> dict[str, Fit]:
    """Train the warm start, if there is one, then the model; rank 0 writes a bundle of each. Returns the fits by name.

    Raises:
        DatasetError: no whole dataset, other fields than the settings', or a batch that the ranks cannot share.
        BundleError: a warm start from a bundle that is not whole or does not fit.
    """
    dataset = open_dataset(settings)
    torch.set_num_threads(max(1, len(os.sched_getaffinity(0)) // ranks.local_size))
    plans = [shard_plan(settings, dataset, split, ranks.rank, ranks.size) for split in ("train", "valid")]
    together = settings.train.task == "ranking"
    train_feed = Feed(dataset, "train", plans[0], settings.seed, together=together)
    valid_feed = Feed(dataset, "valid", plans[1], None)
    watcher = Watcher(settings.run.path / "history.jsonl", ranks.rank)
    shape, fits = Shape.of(dataset.feature_map), dict[str, Fit]()
    start = open_warm_start(settings, dataset)
    for stage, bundle in training_stages(settings):
        torch.manual_seed(settings.seed)
        model = build_model(stage.model, shape)
        if isinstance(model, AFM):
            if start is not None:
                start_from(model, start, stage, shape)
            watcher.starts(stage.model.name, f"attention by {model.describe_kernel(shape.n_columns)}")
        found = fit(model, stage, train_feed, valid_feed, ranks, watcher)
        if ranks.rank == 0:
            metrics = {"valid": found.best.valid, "epochs": [asdict(epoch) for epoch in found.epochs]}
            card = model_card(stage, dataset.manifest, found.best, ranks.size)
            write_bundle(bundle, found.predictor, stage, dataset.features_path, dataset.counts_path, metrics, card)
        fits[stage.model.name] = found
        start = model
    return fits


def training_stages(settings: Settings) -> list[tuple[Settings, Path]]:
    """The settings of each model to train, in order, and where its bundle goes."""
    main = (settings, settings.run.bundle)
    warm = settings.warm_start
    if warm is None or warm.bundle is not None:
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
    if settings.train.task == "ranking" and dataset.manifest.split_by != "positive":
        raise DatasetError(
            f"{settings.dataset.path}: split by {dataset.manifest.split_by}, but ranking needs each positive beside "
            "its negatives; prepare again with split.by: positive"
        )
    return dataset


def shard_plan(settings: Settings, dataset: Dataset, split: str, rank: int, size: int) -> ShardPlan:
    """The division of a split between ranks, from the manifest."""
    rows = dataset.manifest.splits[split].rows
    return ShardPlan(rows, dataset.manifest.rows_per_file, settings.train.batch_size, rank, size)
