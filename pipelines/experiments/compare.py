"""Training and evaluating a list of models, one after another. Finished models are not trained again."""

import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

from afm_core.bundle import read_bundle
from afm_core.errors import DatasetError
from afm_core.models import n_parameters
from afm_core.settings import Settings
from afm_core.settings.experiments import Study
from afm_core.storage.atomic import write_json
from afm_core.storage.provenance import Provenance, settings_digest
from pipelines.dataset import Dataset
from pipelines.evaluation.evaluate import evaluate
from pipelines.experiments.variations import compared_settings, studied_settings
from pipelines.training.communicator import Communicator
from pipelines.training.fitted import Fit
from pipelines.training.train import train

_RESULT_FILE = "result.json"
_WITHOUT_EFFECT = {"score", "recommend", "compare", "studies", "search"}


@dataclass(frozen=True)
class ComparisonResult:
    """One training of a comparison or study."""

    name: str
    model: str
    seed: int
    parameters: int
    best_epoch: int
    seconds_an_epoch: float
    """Median over the epochs."""
    metric: str
    """Name of the metric in `valid` and `by_epoch`."""
    valid: float
    """Metric on the validation split at the best epoch."""
    by_epoch: list[float]
    """Metric on the validation split after each epoch."""
    test: dict[str, float]
    """Metrics on the test split at the best epoch of the validation split; empty in a study."""
    made_from: str
    """Digest of the settings and the dataset."""


def compare(settings: Settings, ranks: Communicator) -> list[ComparisonResult]:
    """Train and evaluate every model of `settings.compare` with each seed, in a folder of its own below the run's.

    Each model is trained and evaluated as jobs/train.py and jobs/evaluate.py would. If it was finished before with the
    same settings on the same dataset, its result is read back. Rank 0 returns the results in the order of the settings;
    other ranks return none.

    Raises:
        DatasetError: there is no complete dataset, or its fields are not those of the settings.
    """
    dataset = Dataset.open(settings.dataset.path)
    results = [
        _train_once(name, variation, dataset, ranks, is_tested=True) for name, variation in compared_settings(settings)
    ]
    return [result for result in results if result is not None]


def run_study(settings: Settings, study: Study, ranks: Communicator) -> list[tuple[int | float, ComparisonResult]]:
    """Train every point of a study as `compare` does. The test split is not read."""
    dataset = Dataset.open(settings.dataset.path)
    points = [
        (value, _train_once(study.model, variation, dataset, ranks, is_tested=False))
        for value, variation in studied_settings(settings, study)
    ]
    return [(value, result) for value, result in points if result is not None]


def read_result(run: Path, made_from: str) -> ComparisonResult | None:
    """The result of a finished training; None if there is none that was made from the same inputs."""
    try:
        result = ComparisonResult(**json.loads((run / _RESULT_FILE).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
    return result if result.made_from == made_from else None


def _train_once(
    name: str, settings: Settings, dataset: Dataset, ranks: Communicator, *, is_tested: bool
) -> ComparisonResult | None:
    digest = settings_digest(settings, exclude=_WITHOUT_EFFECT)
    provenance = Provenance.of(settings=digest, dataset=dataset.manifest.digest)
    result = read_result(settings.run.work, provenance.digest)
    if result is None:
        fit = train(settings, ranks, dataset=dataset).main
        if ranks.rank == 0:
            result = _write_result(name, settings, fit, dataset, provenance, is_tested=is_tested)
    ranks.sum([0.0])  # a barrier: no rank may look for a result that rank 0 is still writing
    return result if ranks.rank == 0 else None


def _write_result(
    name: str, settings: Settings, fit: Fit, dataset: Dataset, provenance: Provenance, *, is_tested: bool
) -> ComparisonResult:
    rows = dataset.manifest.splits["train"].rows
    seconds = sorted(rows / epoch.rows_per_second for epoch in fit.epochs)
    result = ComparisonResult(
        name=name,
        model=settings.model.name,
        seed=settings.seed,
        parameters=n_parameters(read_bundle(settings.run.bundle).model),
        best_epoch=fit.best.epoch,
        seconds_an_epoch=round(seconds[len(seconds) // 2], 2),
        metric=fit.best.metric,
        valid=fit.best.valid,
        by_epoch=[epoch.monitored.value for epoch in fit.epochs],
        test=_test_metrics(settings, dataset) if is_tested else {},
        made_from=provenance.digest,
    )
    write_json(settings.run.work / _RESULT_FILE, asdict(result))
    shutil.rmtree(settings.run.checkpoints, ignore_errors=True)
    return result


def _test_metrics(settings: Settings, dataset: Dataset) -> dict[str, float]:
    metrics = evaluate(settings, dataset).metrics
    if settings.model.name not in metrics:
        raise DatasetError(f"{settings.run.work}: contains no evaluation of {settings.model.name}; remove the folder")
    return metrics[settings.model.name]
