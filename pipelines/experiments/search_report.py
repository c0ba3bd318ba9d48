"""A search as tables for the terminal."""

import json

from rich.table import Table

from afm_core.settings import Settings
from pipelines.console import columns, facts
from pipelines.experiments.search import best_trials
from pipelines.experiments.search_log import Trial, log_path
from pipelines.experiments.variations import searched_settings


def search_table(trials: list[Trial]) -> Table:
    """The best trial of each model, with the settings to copy."""
    rows = []
    for name, best in best_trials(trials).items():
        drawn = ", ".join(f"{key}: {_short(value)}" for key, value in best.drawn.items())
        tried = sum(trial.name == name for trial in trials)
        rows.append([name, f"{best.metric} {best.valid:.4f}", f"{best.number} of {tried}", drawn])
    return columns("best on the validation split", ["model", "validation", "trial", "settings"], rows)


def plan_table(settings: Settings) -> Table:
    """What a search with these settings would do."""
    space = settings.search.space
    entries = searched_settings(settings)
    return facts(
        f"would search settings for {settings.name}",
        [
            ("dataset", f"{settings.dataset.path}, train and valid splits"),
            ("models", ", ".join(name for name, _ in entries) or "none; list them under compare"),
            ("trials", f"{settings.search.trials} each, {settings.search.trials * len(entries)} in all"),
            ("vary", ", ".join(space) or "nothing; list keys under search.space"),
            ("log", str(log_path(settings))),
        ],
    )


def _short(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else json.dumps(value)
