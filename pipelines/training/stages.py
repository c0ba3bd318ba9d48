"""The trainings that a run consists of: the warm start, if there is one, then the model."""

from dataclasses import dataclass
from pathlib import Path

from afm_core.kernels.native_library import native_library
from afm_core.settings import Settings
from pipelines.dataset import Dataset
from pipelines.training.communicator import Communicator
from pipelines.training.parent_bundle import ParentBundle

_LARGEST_SAMPLE = 20_000_000
"""x_i of the training split up to which an FM is sampled without being asked for: some minutes on two cores."""


@dataclass(frozen=True)
class Stage:
    """One training of a run."""

    name: str
    """Of its log lines and checkpoints: the model's, or `fm_start` for the sampled FM that an FM goes on from."""
    settings: Settings
    bundle: Path | None
    """Where it is published; None if it is not."""


def training_stages(settings: Settings) -> list[Stage]:
    """The models to train, in order: each starts from the one before it."""
    return _stages(settings, settings.run.bundle)


def _stages(settings: Settings, bundle: Path) -> list[Stage]:
    main, warm = Stage(settings.model.name, settings, bundle), settings.warm_start
    if warm is None or warm.bundle is not None:
        return [main]
    model = settings.model.model_copy(update={"name": warm.model, "pooled_dropout": warm.pooled_dropout})
    own = ("overshoot_penalty", "optimizer", "learning_rate", "embedding_l2", "fit", "sweeps")
    overrides = {name: getattr(warm, name) for name in own}
    changed = {name: value for name, value in overrides.items() if value is not None}
    train = settings.train.model_copy(update={"epochs": warm.epochs, "warm_start": None, **changed})
    if main.name == warm.model:
        first = settings.model_copy(update={"model": model, "train": train.model_copy(update={"fit": "gibbs"})})
        return [Stage(f"{warm.model}_start", first, None), main]
    if warm.fit == "auto":  # the FM of model.name: fm with these settings
        model = settings.model.model_copy(update={"name": warm.model})
        sampled = warm.model_copy(update={"fit": "gibbs", "keep_optimizer_state": False})
        train = settings.train.model_copy(update={"warm_start": sampled})
    return [
        *_stages(settings.model_copy(update={"model": model, "train": train}), settings.run.warm_start_bundle),
        main,
    ]


def decided(settings: Settings, dataset: Dataset, ranks: Communicator, parent: ParentBundle | None = None) -> Settings:
    """The settings with what they leave open decided, the same on all ranks: the warm start, and attention's sum."""
    has_kernels = ranks.sum([float(native_library() is not None)])[0] == ranks.size
    return planned(settings, dataset, parent, has_kernels=has_kernels)


def planned(
    settings: Settings, dataset: Dataset, parent: ParentBundle | None = None, *, has_kernels: bool = True
) -> Settings:
    """`decided` without asking the ranks."""
    warm = settings.train.warm_start
    if warm is None or warm.fit != "auto":
        return settings
    numbers = dataset.manifest.splits["train"].rows * len(dataset.feature_map.column_fields)
    can_sample = settings.train.task != "ranking" and not settings.label.weight and has_kernels
    is_sampled = can_sample and numbers <= _LARGEST_SAMPLE and not parent and settings.warm_start
    total = "pairs" if is_sampled else parent.settings.model.attention_sum if parent else None
    model = settings.model.model_copy(update={"attention_sum": settings.model.attention_sum or total or "one"})
    train = settings.train.model_copy(update={"warm_start": warm if is_sampled else None})
    return settings.model_copy(update={"model": model, "train": train})


def scaled_to(settings: Settings, ranks: int, elastic: bool = False) -> Settings:
    """The settings for a number of ranks: scaled if `train.scale_learning_rate` is set.

    In elastic training, where the number of ranks changes, the batch size is rounded up to a multiple of it.
    """
    train = settings.train
    rows, rate = train.batch_size, train.learning_rate
    if train.scale_learning_rate:
        rows, rate = rows * ranks, rate * ranks
    if elastic:
        rows = -(-rows // ranks) * ranks
    scaled = {"batch_size": rows, "learning_rate": rate, "scale_learning_rate": False}
    return settings.model_copy(update={"train": train.model_copy(update=scaled)})
