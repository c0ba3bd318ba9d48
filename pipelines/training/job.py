"""Training from end to end: a dataset in, a bundle out."""

import os
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from afm_core.bundle import FrozenRows, write_bundle
from afm_core.errors import DatasetError
from afm_core.models import AFM, Shape, build_model
from afm_core.settings import Settings
from pipelines.dataset import Dataset
from pipelines.feeding.feed import Feed
from pipelines.feeding.shard_plan import ShardPlan
from pipelines.training.card import model_card
from pipelines.training.checkpoints import Checkpoints
from pipelines.training.communicator import Communicator
from pipelines.training.loop import Fit, Trainer, fit
from pipelines.training.warm_start import open_warm_start, start_from
from pipelines.training.watching import Watcher

_FROZEN = 256


def train(settings: Settings, ranks: Communicator, resume: bool = False) -> dict[str, Fit]:
    """Train the warm start, if there is one, then the model; rank 0 writes a bundle of each. Returns the fits by name.

    Args:
        resume: go on from the newest whole checkpoint below the run's folder; without one, begin.

    Raises:
        DatasetError: no whole dataset, other fields than the settings', or a batch that the ranks cannot share.
        BundleError: a warm start from a bundle that is not whole or does not fit.
        CheckpointError: a checkpoint cannot be written, or is of other settings or data.
        InterruptedBySignal: SIGTERM or SIGINT came; a checkpoint was written.
    """
    dataset = open_dataset(settings)
    torch.set_num_threads(max(1, len(os.sched_getaffinity(0)) // ranks.local_size))
    plans = [shard_plan(settings, dataset, split, ranks.rank, ranks.size) for split in ("train", "valid")]
    together = settings.train.task == "ranking"
    feeds = Feed(dataset, "train", plans[0], settings.seed, together=together), Feed(dataset, "valid", plans[1], None)
    watcher = Watcher(settings.run.path / "history.jsonl", ranks.rank)
    if ranks.rank == 0 and not resume:
        shutil.rmtree(settings.run.checkpoints, ignore_errors=True)
    shape, fits = Shape.of(dataset.feature_map), dict[str, Fit]()
    start = open_warm_start(settings, dataset)
    for stage, bundle in training_stages(settings):
        torch.manual_seed(settings.seed)
        model = build_model(stage.model, shape)
        if isinstance(model, AFM):
            if start is not None:
                start_from(model, start, stage, shape)
            watcher.starts(stage.model.name, f"attention by {model.describe_kernel(shape.n_columns)}")
        checkpoints = Checkpoints(settings.run.checkpoints / stage.model.name, _made_from(stage, dataset, ranks))
        found = fit(model, Trainer(stage, *feeds, ranks, watcher, checkpoints), resume)
        if ranks.rank == 0:
            metrics = {"valid": found.best.valid, "epochs": [asdict(epoch) for epoch in found.epochs]}
            card = model_card(stage, dataset.manifest, found.best, ranks.size)
            tables = dataset.features_path, dataset.counts_path
            write_bundle(bundle, found.predictor, stage, *tables, frozen_rows(feeds[1]), metrics, card)
        fits[stage.model.name] = found
        start = model
    return fits


def frozen_rows(valid: Feed) -> FrozenRows:
    """The first rows of the validation split, as a bundle's certificate keeps them."""
    batch = next(valid.epoch(0)).encoded
    ids, values = batch.ids[:_FROZEN].numpy().astype(np.int32), batch.values[:_FROZEN].numpy()
    columns = [valid.x_of_slots.index(at) for at in range(max(valid.x_of_slots, default=-1) + 1)]
    return FrozenRows(ids, np.ascontiguousarray(values[:, columns], dtype=np.float32))


def _made_from(stage: Settings, dataset: Dataset, ranks: Communicator) -> dict[str, Any]:
    """What two trainings must share for one to go on from the other's checkpoint."""
    train = stage.train.model_dump(mode="json", exclude={"checkpoint_steps"})
    model = stage.model.model_dump(mode="json", exclude={"kernel"})
    digest = dataset.manifest.digest
    return {"seed": stage.seed, "model": model, "train": train, "dataset": digest, "ranks": ranks.size}


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
