"""Training and evaluating a list of models, one after another; what is done already is not done again."""

import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

from afm_core.bundle import read_bundle
from afm_core.errors import DatasetError
from afm_core.models import n_parameters
from afm_core.settings import Settings
from afm_core.settings.experiments import Study
from pipelines.dataset import Dataset
from pipelines.encoding.digest import text_digest
from pipelines.evaluation.evaluate import evaluate
from pipelines.experiments.variations import compared_settings, studied_settings
from pipelines.training.communicator import Communicator
from pipelines.training.loop import Fit
from pipelines.training.train import train

_RESULT = "result.json"
_WITHOUT_EFFECT = {"score", "compare", "studies", "search"}


@dataclass(frozen=True)
class ComparisonResult:
    """One training of a comparison or study."""

    name: str
    model: str
    seed: int
    parameters: int
    best_epoch: int
    seconds_an_epoch: float
    metric: str
    """What `valid` and `by_epoch` are."""
    valid: float
    by_epoch: list[float]
    """On the validation split."""
    test: dict[str, float]
    """Metrics on the test split, of the epoch that was best on the validation split; none in a study."""
    made_from: str
    """Digest of the settings and of the dataset."""


def compare(settings: Settings, ranks: Communicator) -> list[ComparisonResult]:
    """Train and evaluate every model of `settings.compare`, with each seed, in a folder of its own below the run's.

    Each goes the way of jobs/train.py and jobs/evaluate.py. One that was finished with the same settings on the same
    dataset is read back. Rank 0 returns the results, in the order of the settings; other ranks return none.

    Raises:
        DatasetError: no whole dataset, or one of other fields than the settings'.
    """
    dataset = Dataset.open(settings.dataset.path)
    results = [_trained(name, entry, dataset, ranks, tested=True) for name, entry in compared_settings(settings)]
    return [found for found in results if found is not None]


def study(settings: Settings, of: Study, ranks: Communicator) -> list[tuple[int | float, ComparisonResult]]:
    """Train every point of a study, as above. The test split is not read."""
    dataset = Dataset.open(settings.dataset.path)
    points = [
        (value, _trained(of.model, entry, dataset, ranks, tested=False))
        for value, entry in studied_settings(settings, of)
    ]
    return [(value, found) for value, found in points if found is not None]


def read_result(run: Path, made_from: str) -> ComparisonResult | None:
    """The result of a finished model, None where there is none of these settings."""
    try:
        found = ComparisonResult(**json.loads((run / _RESULT).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
    return found if found.made_from == made_from else None


def _trained(
    name: str, entry: Settings, dataset: Dataset, ranks: Communicator, *, tested: bool
) -> ComparisonResult | None:
    made = text_digest(entry.model_dump_json(exclude=_WITHOUT_EFFECT), dataset.manifest.digest)
    found = read_result(entry.run.path, made)
    if found is None:
        fits = train(entry, ranks)
        if ranks.rank == 0:
            found = _result(name, entry, fits[entry.model.name], dataset, made, tested=tested)
    ranks.sum([0.0])  # nobody looks for a result that rank 0 is still writing
    return found if ranks.rank == 0 else None


def _result(name: str, entry: Settings, fit: Fit, dataset: Dataset, made: str, *, tested: bool) -> ComparisonResult:
    test: dict[str, float] = {}
    if tested:
        metrics = evaluate(entry).metrics
        if entry.model.name not in metrics:
            raise DatasetError(f"{entry.run.path}: holds no evaluation of {entry.model.name}; remove the folder")
        test = metrics[entry.model.name]
    rows = dataset.manifest.splits["train"].rows
    seconds = sorted(rows / epoch.rows_per_second for epoch in fit.epochs)
    result = ComparisonResult(
        name,
        entry.model.name,
        entry.seed,
        n_parameters(read_bundle(entry.run.bundle).model),
        fit.best.number,
        round(seconds[len(seconds) // 2], 2),
        fit.best.metric,
        fit.best.valid,
        [epoch.valid for epoch in fit.epochs],
        test,
        made,
    )
    unfinished = entry.run.path / f"{_RESULT}.unfinished"
    unfinished.write_text(json.dumps(asdict(result), indent=2) + "\n", encoding="utf-8")
    unfinished.replace(entry.run.path / _RESULT)
    shutil.rmtree(entry.run.checkpoints, ignore_errors=True)
    return result
