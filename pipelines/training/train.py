"""Training from end to end: a dataset in, a bundle out."""

import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from afm_core.bundle import FrozenRows, write_bundle
from afm_core.errors import DatasetError
from afm_core.inference.scorer import Scorer
from afm_core.kernels.heap import keep_freed_memory
from afm_core.models import AFM, AnyModel, Shape, build_model
from afm_core.settings import Settings
from afm_core.storage.provenance import Provenance
from pipelines.dataset import Dataset
from pipelines.feeding.feed import Feed
from pipelines.feeding.memory import fits_in_memory
from pipelines.feeding.shard_plan import ShardPlan
from pipelines.training.checkpoints import Checkpoints
from pipelines.training.communicator import Communicator
from pipelines.training.context import TrainingContext
from pipelines.training.cores import n_threads
from pipelines.training.device import device_of
from pipelines.training.drift_baseline import fit_drift_baseline
from pipelines.training.loop import Fit, fit
from pipelines.training.mlflow_tracker import MlflowTracker
from pipelines.training.model_card import model_card
from pipelines.training.parent_bundle import ParentBundle
from pipelines.training.training_logger import TrainingLogger
from pipelines.training.warm_start import open_warm_start, start_from

_FROZEN = 256


def train(settings: Settings, ranks: Communicator, resume: bool = False, parent: Path | None = None) -> dict[str, Fit]:
    """Train the warm start, if there is one, then the model; rank 0 writes a bundle of each. Returns the fits by name.

    Args:
        resume: go on from the newest whole checkpoint below the run's folder; without one, begin.
        earlier: a bundle of the same model to go on from, optimiser included, instead of a warm start. The dataset's
            feature map must be the bundle's, or extend it.

    Raises:
        DatasetError: no whole dataset, other fields than the settings', or a batch that the ranks cannot share.
        BundleError: a warm start from a bundle that is not whole or does not fit.
        CheckpointError: a checkpoint cannot be written, or is of other settings or data.
        InterruptedBySignal: SIGTERM or SIGINT came; a checkpoint was written.
        MachineError: MLflow is asked for and cannot be used.
    """
    dataset = open_dataset(settings)
    keep_freed_memory()
    torch.set_num_threads(n_threads(ranks.local_size))
    scaled = scaled_to(settings, ranks.size, ranks.elastic)
    plans = [shard_plan(scaled, dataset, split, ranks.rank, ranks.size) for split in ("train", "valid")]
    together = settings.train.task == "ranking"
    stays = fits_in_memory(dataset, ranks.local_size)
    feeds = (
        Feed(dataset, "train", plans[0], settings.seed, together=together, in_memory=stays),
        Feed(dataset, "valid", plans[1], None, in_memory=stays),
    )
    device = device_of(ranks)
    tracker = MlflowTracker(settings.run.mlflow) if settings.run.mlflow and ranks.rank == 0 else None
    logger = TrainingLogger(settings.run, ranks.rank, tracker)
    if ranks.rank == 0 and not resume:
        shutil.rmtree(settings.run.checkpoints, ignore_errors=True)
    shape, fits = Shape.of(dataset.feature_map), dict[str, Fit]()
    before = ParentBundle(parent, dataset) if parent else None
    start = None if before else open_warm_start(settings, dataset)
    for asked, bundle in training_stages(settings)[-1 if before else 0 :]:
        stage = scaled_to(asked, ranks.size, ranks.elastic)
        torch.manual_seed(settings.seed)
        model = build_model(stage.model, shape)
        if start is not None and stage.warm_start:
            start_from(model, start, stage, shape)
        if before:
            before.give_weights(model)
        logger.starts(stage.model.name, _computed_by(model, shape), _flat(stage))
        checkpoints = Checkpoints(settings.run.checkpoints / stage.model.name, _provenance(asked, dataset, before))
        found = fit(model, TrainingContext(stage, *feeds, ranks, logger, checkpoints, device, before), resume)
        if ranks.rank == 0:
            epochs = [asdict(epoch) for epoch in found.epochs]
            baseline = fit_drift_baseline(Scorer(found.predictor, dataset.feature_map), dataset)
            metrics = {"valid": found.best.valid, "epochs": epochs, **baseline.model_dump()}
            card = model_card(stage, dataset.manifest, found.best, ranks.size)
            frozen = frozen_rows(feeds[1])
            write_bundle(bundle, found.predictor, stage, dataset.path, frozen, metrics, card, found.optimizer)
        fits[stage.model.name] = found
        start = model
    logger.ends()
    return fits


def _flat(settings: Settings) -> dict[str, Any]:
    """What decides a training, a name each, such as `train.epochs`."""
    tree = settings.model_dump(mode="json", include={"model", "train"})
    values = {f"{section}.{key}": value for section, found in tree.items() for key, value in found.items()}
    return {"name": settings.name, "seed": settings.seed, **values}


def _computed_by(model: AnyModel, shape: Shape) -> str:
    return f"attention by {model.describe_kernel(shape.n_columns)}" if isinstance(model, AFM) else ""


def frozen_rows(valid: Feed) -> FrozenRows:
    """The first rows of the validation split, as a bundle's certificate keeps them."""
    batch = next(valid.epoch(0)).encoded
    ids, values = batch.ids[:_FROZEN].numpy().astype(np.int32), batch.values[:_FROZEN].numpy()
    columns = [valid.value_index.index(at) for at in range(max(valid.value_index, default=-1) + 1)]
    return FrozenRows(ids, np.ascontiguousarray(values[:, columns], dtype=np.float32))


def _provenance(stage: Settings, dataset: Dataset, parent: ParentBundle | None) -> Provenance:
    """What two trainings must share for one to continue from the other's checkpoint."""
    return Provenance.of(
        seed=stage.seed,
        model=stage.model.model_dump(mode="json", exclude={"kernel"}),
        train=stage.train.model_dump(mode="json", exclude={"checkpoint_steps", "stall_seconds"}),
        dataset=dataset.manifest.digest,
        parent=parent.fingerprint if parent else None,
    )


def training_stages(settings: Settings) -> list[tuple[Settings, Path]]:
    """The settings of each model to train, in order, and where its bundle goes."""
    main = (settings, settings.run.bundle)
    warm = settings.warm_start
    if warm is None or warm.bundle is not None:
        return [main]
    model = settings.model.model_copy(update={"name": warm.model, "pooled_dropout": warm.pooled_dropout})
    own = {name: getattr(warm, name) for name in ("overshoot_penalty", "optimizer", "learning_rate")}
    changed = {name: value for name, value in own.items() if value is not None}
    stage = settings.train.model_copy(update={"epochs": warm.epochs, "warm_start": None, **changed})
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


def scaled_to(settings: Settings, ranks: int, elastic: bool = False) -> Settings:
    """The settings as they are for a number of ranks (`train.scale_learning_rate`).

    Elastic ranks, whose number nobody has chosen, round the batch up to what they can share.
    """
    train = settings.train
    rows, rate = train.batch_size, train.learning_rate
    if train.scale_learning_rate:
        rows, rate = rows * ranks, rate * ranks
    if elastic:
        rows = -(-rows // ranks) * ranks
    scaled = {"batch_size": rows, "learning_rate": rate, "scale_learning_rate": False}
    return settings.model_copy(update={"train": train.model_copy(update=scaled)})


def shard_plan(settings: Settings, dataset: Dataset, split: str, rank: int, size: int) -> ShardPlan:
    """The division of a split between ranks, from the manifest."""
    rows = dataset.manifest.splits[split].rows
    return ShardPlan(rows, dataset.manifest.rows_per_file, settings.train.batch_size, rank, size)
