"""A search as tables for the terminal."""

import json

from rich.table import Table

from afm_core.settings import Settings
from afm_core.settings.experiments import DEFAULT_SPACE
from pipelines.console import columns, facts
from pipelines.experiments.search import best_settings_path, best_trials
from pipelines.experiments.search_log import Trial, log_path
from pipelines.experiments.variations import searched_settings


def search_table(settings: Settings, trials: list[Trial]) -> Table:
    """The best trial of each model, and the settings file that was written of it."""
    rows = []
    for name, best in best_trials(trials).items():
        drawn = ", ".join(f"{key}: {_short(value)}" for key, value in best.drawn.items())
        tried = sum(trial.name == name for trial in trials)
        rows.append([name, f"{best.metric} {best.valid:.4f}", f"{best.number} of {tried}", drawn])
        rows.append(["", "", "", str(best_settings_path(settings, name))])
    return columns("best on the validation split", ["model", "validation", "trial", "settings"], rows)


def plan_table(settings: Settings) -> Table:
    """What a search with these settings would do."""
    space = settings.search.space or DEFAULT_SPACE
    entries = searched_settings(settings)
    return facts(
        f"would search settings for {settings.name}",
        [
            ("dataset", f"{settings.dataset.path}, train and valid splits"),
            ("models", ", ".join(name for name, _ in entries)),
            ("trials", f"{settings.search.trials} each, {settings.search.trials * len(entries)} in all"),
            ("vary", ", ".join(space)),
            ("log", str(log_path(settings))),
        ],
    )


def _short(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else json.dumps(value)
