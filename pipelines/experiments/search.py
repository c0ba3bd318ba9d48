"""Searching settings for each model: a seeded TPE sampler of Optuna proposes them, the validation split ranks them.

The test split is not read.
"""

import shutil
import time
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution

from afm_core.settings import Settings, write_settings
from afm_core.settings.experiments import DEFAULT_SPACE, SearchDimension
from afm_core.storage.provenance import Provenance, settings_digest
from pipelines.dataset import Dataset
from pipelines.experiments.search_log import Trial, append_trial, log_path, read_trials
from pipelines.experiments.variations import searched_settings
from pipelines.training.communicator import Communicator
from pipelines.training.train import train

_RANDOM_TRIALS = 4  # drawn uniformly before TPE fits a model to them
_WITHOUT_EFFECT = {"score", "recommend", "compare", "search", "evaluate"}


def search(settings: Settings, ranks: Communicator, minutes: float | None = None) -> list[Trial]:
    """Run trials until every entry of `settings.compare` has `search.trials` of them. Returns all trials in order.

    The models take turns. The settings of the best trial of each are written after every trial. A trial depends only on
    the model's trials before it in the log, so a search that was interrupted continues as if it had not been.

    Args:
        minutes: after which no further trial begins.

    Raises:
        DatasetError: there is no complete dataset, or its fields are not those of the settings.
    """
    began, dataset, log = time.monotonic(), Dataset.open(settings.dataset.path), log_path(settings)
    searches = [_Search.begun(settings, name, variation, dataset) for name, variation in searched_settings(settings)]
    for one in searches if ranks.rank == 0 else ():
        _write_best(settings, one)  # of a log that came from another machine, or whose run was removed since
    for number in range(1, settings.search.trials + 1):
        for one in searches:
            if len(one.trials) >= number:
                continue
            minutes_since = ranks.sum([(time.monotonic() - began) / 60 if ranks.rank == 0 else 0.0])[0]
            if minutes is not None and minutes_since >= minutes:
                return [trial for each in searches for trial in each.trials]
            drawn = one.draw(settings.seed + zlib.crc32(one.name.encode()) + number)
            trial = _try(one.settings, one.name, number, drawn, one.made_from, ranks, dataset)
            one.trials.append(trial)
            if ranks.rank == 0:
                append_trial(log, trial)
                _write_best(settings, one)
    return [trial for one in searches for trial in one.trials]


def best_settings_path(settings: Settings, name: str) -> Path:
    """The settings file of the best trial of an entry of `compare`, ready to be trained with."""
    return settings.run.work / "search" / f"{name}.yaml"


@dataclass(frozen=True)
class _Search:
    """The trials of one model so far."""

    name: str
    settings: Settings
    space: dict[str, BaseDistribution]
    trials: list[Trial]
    made_from: str

    @classmethod
    def begun(cls, settings: Settings, name: str, variation: Settings, dataset: Dataset) -> "_Search":
        digest = settings_digest(variation, exclude=_WITHOUT_EFFECT)
        made_from = Provenance.of(settings=digest, dataset=dataset.manifest.digest).digest
        space = _space(settings.search.space or DEFAULT_SPACE, variation.model.name)
        in_log = read_trials(log_path(settings))
        done = [trial for trial in in_log if (trial.name, trial.made_from) == (name, made_from)]
        return cls(name, variation, space, done, made_from)

    def draw(self, seed: int) -> dict[str, Any]:
        """The values of the settings themselves, then points of the search space, given all trials before."""
        return _draw(self.space, self.trials, seed) if self.trials else _values(self.settings, self.space)


def _write_best(settings: Settings, one: _Search) -> None:
    if one.trials:
        best = with_drawn(one.settings, best_trials(one.trials)[one.name].drawn)
        write_settings(best.model_copy(update={"run": settings.run}), best_settings_path(settings, one.name))


def best_trials(trials: list[Trial]) -> dict[str, Trial]:
    """The best trial of each model."""
    best: dict[str, Trial] = {}
    for trial in trials:
        if trial.name not in best or trial.valid < best[trial.name].valid:
            best[trial.name] = trial
    return best


def with_drawn(settings: Settings, drawn: dict[str, Any]) -> Settings:
    """The settings with the drawn values."""
    tree = settings.model_dump()
    for key, value in drawn.items():
        section, _, name = key.partition(".")
        tree[section][name] = value
    return Settings.model_validate(tree)


def _space(space: dict[str, SearchDimension], model: str) -> dict[str, BaseDistribution]:
    wanted = {key: dimension for key, dimension in space.items() if not dimension.models or model in dimension.models}
    return {key: _distribution(dimension) for key, dimension in wanted.items()}


def _distribution(dimension: SearchDimension) -> BaseDistribution:
    if dimension.choices:
        return CategoricalDistribution(dimension.choices)
    assert dimension.low is not None
    assert dimension.high is not None
    return FloatDistribution(dimension.low, dimension.high, log=dimension.log)


def _draw(space: dict[str, BaseDistribution], done: list[Trial], seed: int) -> dict[str, Any]:
    """The next point of the search space, given all trials before it."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sampler = optuna.samplers.TPESampler(seed=seed % 2**31, n_startup_trials=_RANDOM_TRIALS)
    study = optuna.create_study(sampler=sampler)
    for trial in done:
        known = {key: trial.drawn[key] for key in space if key in trial.drawn}
        if len(known) == len(space) and all(_contains(space[key], value) for key, value in known.items()):
            study.add_trial(optuna.trial.create_trial(params=known, distributions=space, value=trial.valid))
    return dict(study.ask(space).params)


def _contains(distribution: BaseDistribution, value: Any) -> bool:
    """Whether a value could be drawn; those of the settings themselves need not."""
    if isinstance(distribution, FloatDistribution):
        return isinstance(value, int | float) and distribution.low <= value <= distribution.high
    assert isinstance(distribution, CategoricalDistribution)
    return value in distribution.choices


def _values(settings: Settings, space: dict[str, BaseDistribution]) -> dict[str, Any]:
    tree = settings.model_dump()
    return {key: tree[key.partition(".")[0]][key.partition(".")[2]] for key in space}


def _try(
    settings: Settings,
    name: str,
    number: int,
    drawn: dict[str, Any],
    made_from: str,
    ranks: Communicator,
    dataset: Dataset,
) -> Trial:
    start = time.monotonic()
    best = train(with_drawn(settings, drawn), ranks, dataset=dataset).main.best
    seconds = round(time.monotonic() - start, 1)
    if ranks.rank == 0:
        shutil.rmtree(settings.run.work, ignore_errors=True)
    return Trial(name, number, drawn, best.metric, best.valid, best.epoch, seconds, made_from)
