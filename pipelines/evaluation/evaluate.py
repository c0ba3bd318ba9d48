"""Evaluation from end to end: bundles and a dataset in, metrics and mean attention out."""

from dataclasses import asdict, dataclass
from pathlib import Path

from afm_core.bundle import Bundle, read_bundle
from afm_core.errors import BundleError
from afm_core.inference.explanations import PairAttention, mean_attention
from afm_core.learning.metrics import all_metrics
from afm_core.models import AFM
from afm_core.settings import Settings, write_settings
from afm_core.storage.atomic import write_json
from pipelines.dataset import Dataset
from pipelines.evaluation.predictions import encoded_batches, score_split

SPLIT = "test"


@dataclass(frozen=True)
class Evaluation:
    """What the bundles of a run are worth."""

    rows: int
    metrics: dict[str, dict[str, float]]
    """Metrics by model name."""
    attention: list[PairAttention]
    """Of the AFM, the most attended pair first; empty without one."""


def evaluate(settings: Settings) -> Evaluation:
    """Evaluate the run's bundle, and the one it started from, on the test split. Writes `evaluation.json`.

    Raises:
        BundleError: no whole bundle, or one of another feature map than the dataset's.
        DatasetError: no whole dataset.
    """
    dataset = Dataset.open(settings.dataset.path)
    metrics: dict[str, dict[str, float]] = {}
    attention: list[PairAttention] = []
    for path in _bundles(settings):
        bundle = read_bundle(path)
        require_same_map(bundle, dataset)
        scored = score_split(bundle.scorer, dataset, SPLIT, settings.group_field)
        found = all_metrics(scored.scored(bundle.calibrated_model.task), settings.evaluate.k)
        metrics[bundle.settings.model.name] = found
        if isinstance(bundle.model, AFM):
            columns = tuple(field.name for field in dataset.feature_map.column_fields)
            attention = mean_attention(bundle.model, encoded_batches(dataset, SPLIT), columns)
    evaluation = Evaluation(dataset.manifest.splits[SPLIT].rows, metrics, attention)
    _write(evaluation, settings)
    return evaluation


def _bundles(settings: Settings) -> list[Path]:
    path = settings.run.warm_start_bundle
    warm = [path] if settings.warm_start and path.exists() else []
    return [*warm, settings.run.bundle]


def require_same_map(bundle: Bundle, dataset: Dataset) -> None:
    """Refuse a bundle whose ids are not the dataset's.

    Raises:
        BundleError: naming both maps.
    """
    ours, theirs = bundle.feature_map.fingerprint, dataset.feature_map.fingerprint
    if ours != theirs:
        raise BundleError(
            f"{bundle.path}: trained with feature map {ours}, but {dataset.path} was encoded with {theirs}; "
            "evaluate on its own dataset, or train again"
        )


def _write(evaluation: Evaluation, settings: Settings) -> None:
    write_json(settings.run.path / "evaluation.json", {"split": SPLIT, **asdict(evaluation)})
    write_settings(settings, settings.run.path / "evaluation.settings.yaml")
