"""Training from end to end: from a dataset to bundles."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from afm_core.bundle import BUNDLE_CONTENT, write_bundle
from afm_core.errors import RepublishedError, SettingsError
from afm_core.inference.scorer import Scorer
from afm_core.kernels.heap import keep_freed_memory
from afm_core.kernels.subnormals import subnormals_as_zeros
from afm_core.models import AFM, FM, AnyModel, Shape, build_model
from afm_core.settings import Settings
from afm_core.settings.cross_checks import fit_problems
from afm_core.storage.provenance import Provenance, text_digest
from afm_core.storage.publishing import place_of, require_publishable
from pipelines.dataset import Dataset
from pipelines.feeding.feed import Feed
from pipelines.feeding.memory import fits_in_memory
from pipelines.feeding.shard_plan import ShardPlan
from pipelines.run_files import share
from pipelines.training.checkpoints import Checkpoints, remove_checkpoints
from pipelines.training.communicator import Communicator
from pipelines.training.context import TrainingContext
from pipelines.training.cores import n_threads
from pipelines.training.dataset_checks import checked_dataset
from pipelines.training.device import device_of
from pipelines.training.drift_baseline import fit_drift_baseline
from pipelines.training.fitted import Run
from pipelines.training.frozen_rows import frozen_rows
from pipelines.training.loop import fit
from pipelines.training.mlflow_tracker import MlflowTracker
from pipelines.training.model_card import model_card
from pipelines.training.parent_bundle import ParentBundle
from pipelines.training.sampling import is_sampled, sample
from pipelines.training.shared_checkpoints import shared_checkpoints
from pipelines.training.stages import decided, scaled_to, training_stages
from pipelines.training.starting_model import StartingModel, keep_outputs
from pipelines.training.training_logger import TrainingLogger
from pipelines.training.warm_start import WarmStart, open_warm_start, start_from


@subnormals_as_zeros()
def train(
    settings: Settings,
    ranks: Communicator,
    resume: bool = False,
    parent: Path | None = None,
    dataset: Dataset | None = None,
) -> Run:
    """Train the warm start, if there is one, then the model; rank 0 writes a bundle of each.

    Args:
        resume: continue from the newest complete checkpoint of the run, if there is one.
        parent: bundle of the same model to continue from, optimiser included, instead of a warm start. The dataset's
            feature map must be the bundle's, or extend it.
        dataset: the dataset to train on, where it has been opened. Default: what is published at `dataset.path`.

    Raises:
        SettingsError: train.fit is gibbs, and there is a parent, or the model or the labels cannot be sampled.
        DatasetError: the dataset is incomplete, its fields differ from the settings', or a batch does not divide
            evenly between the ranks.
        RepublishedError: another dataset was published while the ranks opened it.
        BundleError: the bundle of the warm start or the parent is incomplete or does not fit.
        CheckpointError: a checkpoint cannot be written, or was made from other settings or data.
        InterruptedBySignal: SIGTERM or SIGINT was received; a checkpoint was written.
        ForeignFolderError: a bundle would replace a folder that is none.
        MachineError: run.mlflow is set and MLflow cannot be used.
        BusyError: another training writes to the run by now.
    """
    problems = list(fit_problems(settings.train, settings.model, settings.label))  # a comparison varies the settings
    if parent and is_sampled(settings):
        problems.append("train.fit: gibbs draws anew and cannot go on from a bundle; leave out --from")
    if problems:
        raise SettingsError(problems)
    dataset = checked_dataset(settings, dataset or Dataset.open(settings.dataset.path))
    _require_same_dataset(ranks, dataset)
    parent_bundle = ParentBundle(parent, dataset) if parent else None
    wanted, settings = settings, decided(settings, dataset, ranks, parent_bundle)
    start_left_out = (
        "from random weights, as no FM can be sampled"
        if wanted.warm_start and not (settings.warm_start or parent_bundle)
        else ""
    )
    for planned_stage in training_stages(settings):
        if planned_stage.bundle:  # before the hours of training
            require_publishable(place_of(planned_stage.bundle), BUNDLE_CONTENT)
    keep_freed_memory()
    torch.set_num_threads(n_threads(ranks.local_size))
    scaled = scaled_to(settings, ranks.size, ranks.elastic)
    plans = [shard_plan(scaled, dataset, split, ranks.rank, ranks.size) for split in ("train", "valid")]
    group_positives = settings.train.task == "ranking"
    in_memory = fits_in_memory(dataset, ranks.local_size)
    feeds = (
        Feed(dataset, "train", plans[0], settings.seed, group_positives=group_positives, in_memory=in_memory),
        Feed(dataset, "valid", plans[1], None, in_memory=in_memory),
    )
    device = device_of(ranks)
    tracker = MlflowTracker(settings.run.mlflow) if settings.run.mlflow and ranks.rank == 0 else None
    logger = TrainingLogger(settings.run, ranks.rank, tracker)
    shape, run = Shape.of(dataset.feature_map), Run([])
    start = None if parent_bundle else open_warm_start(settings, dataset)
    if ranks.rank == 0 and not resume:
        remove_checkpoints(settings.run)
    for part in training_stages(settings)[-1 if parent_bundle else 0 :]:
        stage = scaled_to(part.settings, ranks.size, ranks.elastic)
        model = _built(stage, shape, start, parent_bundle)
        runs_on = "; ".join(filter(None, (_kernel(model, shape, device), start_left_out, ranks.description)))
        logger.training_started(part.name, runs_on, _flat(stage))
        checkpoints = Checkpoints(
            settings.run.checkpoints / part.name,
            _provenance(part.settings, dataset, parent_bundle),
            shared_checkpoints(settings.run.shared_checkpoints, part.name),
            ranks.require_run,
        )
        fallback = _fallback(stage, shape, start, parent_bundle)
        kept = start.optimizer if start and stage.warm_start else {}
        context = TrainingContext(
            part.name, stage, *feeds, ranks, logger, checkpoints, device, parent_bundle, fallback, kept
        )
        fitted = sample(model, context) if isinstance(model, FM) and is_sampled(stage) else fit(model, context, resume)
        if ranks.rank == 0 and part.bundle:
            epochs = [asdict(epoch) for epoch in fitted.epochs]
            baseline = fit_drift_baseline(Scorer(fitted.calibrated_model, dataset.feature_map), dataset)
            metrics = {"valid": fitted.best.valid, "epochs": epochs, **baseline.model_dump()}
            dataset.require_unchanged()
            card = model_card(stage, dataset.manifest, fitted.best, ranks.size)
            frozen = frozen_rows(feeds[1])
            write_bundle(
                part.bundle,
                fitted.calibrated_model,
                stage,
                dataset.path,
                frozen,
                metrics,
                card,
                fitted.optimizer,
                ranks.require_run,
            )
        run.fits.append((part, fitted))
        is_kept = settings.warm_start and settings.warm_start.keep_optimizer_state
        start = WarmStart(model, fitted.optimizer if is_kept else {})
    logger.training_ended()
    if ranks.rank == 0:
        share(settings.run, settings.run.history.name)
    return run


def _built(stage: Settings, shape: Shape, start: WarmStart | None, parent: ParentBundle | None) -> AnyModel:
    """A model as it begins its training."""
    torch.manual_seed(stage.seed)
    model = build_model(stage.model, shape)
    if start is not None and stage.warm_start:
        start_from(model, start.model, stage, shape)
    if parent:
        parent.copy_weights_to(model)
    return model


def _fallback(
    stage: Settings, shape: Shape, start: WarmStart | None, parent: ParentBundle | None
) -> StartingModel | None:
    """What is kept if no epoch is better; None for a training from random weights."""
    if parent:
        return StartingModel(str(parent.path), lambda: _built(stage, shape, None, parent))
    if start is None or stage.warm_start is None:
        return None
    name = str(stage.warm_start.bundle or stage.warm_start.model)
    return StartingModel(name, lambda: keep_outputs(_built(stage, shape, start, None), start.model, shape))


def _flat(settings: Settings) -> dict[str, Any]:
    """The settings that determine a training, by dotted key such as `train.epochs`."""
    tree = settings.model_dump(mode="json", include={"model", "train"})
    values = {f"{section}.{key}": value for section, keys in tree.items() for key, value in keys.items()}
    return {"name": settings.name, "seed": settings.seed, **values}


def _kernel(model: AnyModel, shape: Shape, device: torch.device) -> str:
    return f"attention by {model.describe_kernel(shape.n_columns, device)}" if isinstance(model, AFM) else ""


def _provenance(stage: Settings, dataset: Dataset, parent: ParentBundle | None) -> Provenance:
    """What must be equal for a training to continue from a checkpoint."""
    return Provenance.of(
        seed=stage.seed,
        model=stage.model.model_dump(mode="json", exclude={"kernel"}),
        train=stage.train.model_dump(mode="json", exclude={"checkpoint_steps", "stall_seconds"}),
        dataset=dataset.manifest.digest,
        parent=parent.fingerprint if parent else None,
    )


def open_dataset(settings: Settings) -> Dataset:
    """Open the dataset of the settings.

    Raises:
        DatasetError: it is incomplete, its fields differ from the settings', or its split does not suit the task.
    """
    return checked_dataset(settings, Dataset.open(settings.dataset.path))


def _require_same_dataset(ranks: Communicator, dataset: Dataset) -> None:
    """Compare the datasets that the ranks have opened, each by itself, maybe before and after a publication.

    Raises:
        RepublishedError: they differ; on all ranks alike.
    """
    opened = float(int(text_digest(dataset.manifest.digest, dataset.feature_map.fingerprint)[:12], 16))
    (of_rank_0,) = ranks.sum([opened if ranks.rank == 0 else 0.0])  # 48 bits, which float64 holds exactly
    (different,) = ranks.sum([float(opened != of_rank_0)])
    if different:
        raise RepublishedError(f"{dataset.path}: another dataset was published while the ranks opened it; train again")


def shard_plan(settings: Settings, dataset: Dataset, split: str, rank: int, size: int) -> ShardPlan:
    """The division of a split between ranks, from the manifest."""
    rows = dataset.manifest.splits[split].rows
    return ShardPlan(rows, dataset.manifest.rows_per_file, settings.train.batch_size, rank, size)
