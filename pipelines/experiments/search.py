"""Searching settings for each model: a seeded TPE sampler of Optuna proposes them, the validation split ranks them.

The test split is not read.
"""

import shutil
import time
import zlib
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution

from afm_core.settings import Settings
from afm_core.settings.experiments import SearchDimension
from afm_core.storage.provenance import Provenance, settings_digest
from pipelines.dataset import Dataset
from pipelines.experiments.search_log import Trial, append_trial, log_path, read_trials
from pipelines.experiments.variations import searched_settings
from pipelines.training.communicator import Communicator
from pipelines.training.train import train

_RANDOM_TRIALS = 4  # drawn uniformly before TPE fits a model to them
_WITHOUT_EFFECT = {"score", "recommend", "compare", "search", "evaluate"}


def search(settings: Settings, ranks: Communicator) -> list[Trial]:
    """Run trials until every entry of `settings.compare` has `search.trials` of them. Returns all trials in order.

    A trial depends only on the trials before it in the log, so a search that was interrupted continues as if it had
    not been.

    Raises:
        DatasetError: there is no complete dataset, or its fields are not those of the settings.
    """
    dataset = Dataset.open(settings.dataset.path)
    log = log_path(settings)
    trials: list[Trial] = []
    for name, variation in searched_settings(settings):
        digest = settings_digest(variation, exclude=_WITHOUT_EFFECT)
        made_from = Provenance.of(settings=digest, dataset=dataset.manifest.digest).digest
        space = _space(settings.search.space, variation.model.name)
        done = [trial for trial in read_trials(log) if (trial.name, trial.made_from) == (name, made_from)]
        for number in range(len(done) + 1, settings.search.trials + 1):
            drawn = _draw(space, done, settings.seed + zlib.crc32(name.encode()) + number)
            trial = _try(variation, name, number, drawn, made_from, ranks, dataset)
            if ranks.rank == 0:
                append_trial(log, trial)
            done.append(trial)
        trials += done
    return trials


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
        if len(known) == len(space):
            study.add_trial(optuna.trial.create_trial(params=known, distributions=space, value=trial.valid))
    return dict(study.ask(space).params)


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
