"""The settings of each training of an experiment, derived from those of the main model."""

from afm_core.settings import Settings
from afm_core.settings.experiments import ModelVariant, SearchSettings, Study
from afm_core.settings.model import ModelSettings
from afm_core.settings.run import RunSettings
from afm_core.settings.train import TrainSettings


def compared_settings(settings: Settings) -> list[tuple[str, Settings]]:
    """Name and settings of each training of a comparison: every entry of `compare` with every seed.

    Each writes to a folder of its own below the run's folder.
    """
    return [
        (name, _vary(settings, f"compare/{name}/seed-{seed}", variant, seed))
        for name, variant in settings.compare.items()
        for seed in settings.seeds or (settings.seed,)
    ]


def searched_settings(settings: Settings) -> list[tuple[str, Settings]]:
    """Name and settings of each entry of `compare` before a search has drawn any values; without any, of the model."""
    entries = settings.compare or {settings.model.name: ModelVariant()}
    return [(name, _vary(settings, f"search/{name}", variant, settings.seed)) for name, variant in entries.items()]


def studied_settings(settings: Settings, study: Study) -> list[tuple[int | float, Settings]]:
    """Value and settings of each point of a study; the folder is named after the key and the value."""
    section, _, key = study.key.partition(".")
    variant = settings.compare[study.model]
    points = []
    for value in study.values:
        changed = variant.model_copy(update={section: {**getattr(variant, section), key: value}})
        folder = f"studies/{study.model}/{study.key}/{value}"
        points.append((value, _vary(settings, folder, changed, settings.seed)))
    return points


def _vary(settings: Settings, folder: str, variant: ModelVariant, seed: int) -> Settings:
    changes = {
        "seed": seed,
        "seeds": (),
        "model": ModelSettings.model_validate({**settings.model.model_dump(), **variant.model}),
        "train": TrainSettings.model_validate({**settings.train.model_dump(), **variant.train}),
        "run": RunSettings(path=settings.run.work / folder),
        "compare": {},
        "studies": {},
        "search": SearchSettings(),
    }
    return settings.model_copy(update=changes)
