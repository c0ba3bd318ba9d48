"""Evaluation from end to end: bundles and a dataset in, metrics and mean attention out."""

from dataclasses import asdict, dataclass

from afm_core.bundle import Bundle, read_bundle
from afm_core.errors import BundleError
from afm_core.inference.explanations import PairAttention, mean_attention
from afm_core.learning.metrics import all_metrics
from afm_core.models import AFM
from afm_core.settings import Settings, write_settings
from afm_core.storage.atomic import write_json
from afm_core.storage.publishing import place_of
from pipelines.dataset import Dataset
from pipelines.evaluation.predictions import encoded_batches, score_split
from pipelines.run_files import share

SPLIT = "test"
RESULT_FILE, SETTINGS_FILE = "evaluation.json", "evaluation.settings.yaml"


@dataclass(frozen=True)
class Evaluation:
    """Metrics of the bundles of a run on the test split."""

    rows: int
    metrics: dict[str, dict[str, float]]
    """Metrics by model name."""
    attention: list[PairAttention]
    """Mean attention weight of each pair of fields of the AFM, in descending order; empty if no model is an AFM."""


def evaluate(
    settings: Settings, dataset: Dataset | None = None, bundles: dict[str, Bundle] | None = None
) -> Evaluation:
    """Evaluate the run's bundle, and the one it started from, on the test split. Writes `evaluation.json`.

    Args:
        dataset: the dataset to read, where it has been opened. Default: what is published at `dataset.path`.
        bundles: see `evaluated_bundles`, where they have been opened. Default: what is published below `run.path`.

    Raises:
        BundleError: there is no complete bundle, or its feature map is not the dataset's.
        DatasetError: there is no complete dataset.
    """
    dataset = dataset or Dataset.open(settings.dataset.path)
    metrics: dict[str, dict[str, float]] = {}
    attention: list[PairAttention] = []
    for name, bundle in (bundles or evaluated_bundles(settings)).items():
        require_same_map(bundle, dataset)
        scored = score_split(bundle.scorer, dataset, SPLIT, settings.group_field)
        metrics[name] = all_metrics(scored.scored(bundle.calibrated_model.task), settings.evaluate.k)
        if isinstance(bundle.model, AFM):
            columns = tuple(field.name for field in dataset.feature_map.column_fields)
            attention = mean_attention(bundle.model, encoded_batches(dataset, SPLIT), columns)
    dataset.require_unchanged()
    evaluation = Evaluation(dataset.manifest.splits[SPLIT].rows, metrics, attention)
    _write(evaluation, settings)
    return evaluation


def evaluated_bundles(settings: Settings) -> dict[str, Bundle]:
    """The bundle that the run's bundle started from, if the run has one, and the run's bundle, each by its name.

    Raises:
        BundleError: there is no complete bundle.
    """
    main, path = read_bundle(settings.run.bundle), settings.run.warm_start_bundle
    name, warm = main.settings.model.name, main.settings.warm_start
    if warm is None or warm.bundle or warm.model == name or not place_of(path).current:
        return {name: main}
    first = read_bundle(path)
    return {first.settings.model.name: first, name: main}


def require_same_map(bundle: Bundle, dataset: Dataset) -> None:
    """Check that the bundle was trained with the feature map of the dataset.

    Raises:
        BundleError: it was trained with another feature map.
    """
    trained_with, encoded_with = bundle.feature_map.fingerprint, dataset.feature_map.fingerprint
    if trained_with != encoded_with:
        raise BundleError(
            f"{bundle.path}: trained with feature map {trained_with}, but {dataset.path} was encoded with "
            f"{encoded_with}; evaluate on the dataset that it was trained on, or train again"
        )


def _write(evaluation: Evaluation, settings: Settings) -> None:
    write_json(settings.run.work / RESULT_FILE, {"split": SPLIT, **asdict(evaluation)})
    write_settings(settings, settings.run.work / SETTINGS_FILE)
    share(settings.run, RESULT_FILE, SETTINGS_FILE)
