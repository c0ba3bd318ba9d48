"""Writing the report of an evaluation."""

import math
from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from afm_core.bundle import Bundle
from afm_core.features.feature_table import values_by_id
from afm_core.learning.metrics import all_metrics, metrics_at
from afm_core.learning.metrics.scored import Scored
from afm_core.settings import Settings
from afm_core.settings.loading import settings_text
from afm_core.storage.atomic import write_text
from afm_core.storage.paths import open_for_reading
from pipelines.dataset import PROFILE_FILE, Dataset
from pipelines.evaluation.evaluate import SPLIT, Evaluation, evaluate, evaluated_bundles
from pipelines.evaluation.evaluate_report import title_of
from pipelines.evaluation.report import figures
from pipelines.evaluation.report.examples import Example, examples
from pipelines.evaluation.report.findings import calibration_bins, errors_by_value, importances, metric_of, popularity
from pipelines.evaluation.report.sample import Sample, sample_of
from pipelines.pages.page import Section, TableOf, page
from pipelines.run_files import share

REPORT_FILE = "report.html"
_PAIRS_SHOWN = 20


def evaluate_and_report(settings: Settings) -> tuple[Evaluation, Path]:
    """Evaluate, and write `report.html` into the run's folder. Returns its path, too.

    Dataset and bundles are opened once, so that all figures are of the same ones, whatever is published meanwhile.
    Cost: that of the evaluation, a pass over the test split, and three evaluations of at most 100,000 of its rows for
    each field.

    Raises:
        BundleError: there is no complete bundle, or its feature map is not the dataset's.
        DatasetError: there is no complete dataset.
    """
    dataset, bundles = Dataset.open(settings.dataset.path), evaluated_bundles(settings)
    evaluation = evaluate(settings, dataset, bundles)
    return evaluation, _write_report(settings, evaluation, dataset, bundles)


def _write_report(settings: Settings, evaluation: Evaluation, dataset: Dataset, bundles: dict[str, Bundle]) -> Path:
    name, bundle = list(bundles.items())[-1]
    start = next(iter(bundles.values())) if len(bundles) > 1 else None
    sample = sample_of(dataset, SPLIT)
    scored = sample.scored(bundle.scorer, bundle.calibrated_model.task)
    values = values_by_id(bundle.features_path)
    sections = [
        _headline(settings, evaluation, popularity(sample, bundle, settings)),
        _training(bundles),
        _scores(scored),
        *_attention(evaluation, examples(sample, bundle, start, values)),
        _importance(sample, bundle, scored),
        *_errors(sample, bundle, scored, values),
        _data(dataset),
        Section(
            "Settings",
            f"Model {name}, bundle {bundle.fingerprint}; feature map {bundle.feature_map.fingerprint}; dataset "
            f"{dataset.manifest.digest}.",
            code=settings_text(bundle.settings),
        ),
    ]
    is_whole = sample.n_rows == evaluation.rows
    of = "the same" if is_whole else f"{sample.n_rows:,} of them, chosen by a hash of their keys"
    summary = (
        f"{name} on the {evaluation.rows:,} rows of the {SPLIT} split, which no training has seen. Metrics are of all "
        f"rows, figures of {of}."
    )
    path = settings.run.work / REPORT_FILE
    write_text(path, page(f"{settings.name}: {name}", summary, sections))
    share(settings.run, REPORT_FILE)
    return path


def _headline(settings: Settings, evaluation: Evaluation, popular: Scored | None) -> Section:
    columns = dict(evaluation.metrics)
    if popular is not None:
        columns["popularity"] = all_metrics(popular, ())
    rows = [
        [title_of(metric, settings), *[_number(values.get(key)) for values in columns.values()]]
        for key, metric in metrics_at(settings.evaluate.k).items()
        if any(key in values for values in columns.values())
    ]
    text = "Popularity scores a row by how often its item occurs in the logs." if popular is not None else ""
    return Section(
        "How good it is", text, tables=[TableOf(f"Metrics on the {SPLIT} split", ["metric", *columns], rows)]
    )


def _training(bundles: dict[str, Bundle]) -> Section:
    """The epochs that the bundles themselves record."""
    by_model = {
        name: [(float(epoch["train"]), float(epoch["valid"])) for epoch in bundle.metrics["epochs"]]
        for name, bundle in bundles.items()
    }
    metric = next(iter(bundles.values())).calibrated_model.task.monitor
    rows = [
        [f"{name} {number}", _number(train), _number(valid)]
        for name, results in by_model.items()
        for number, (train, valid) in enumerate(results, 1)
    ]
    table = TableOf(f"{metric} by epoch", ["epoch", "training", "validation"], rows, folded=True)
    text = "The second model starts from the first." if len(by_model) > 1 else ""
    return Section("Training", text, [figures.curves(by_model, metric)], [table])


def _scores(scored: Scored) -> Section:
    bins = calibration_bins(scored)
    rows = [[f"{each.predicted:.4f}", f"{each.observed:.4f}", f"{each.rows:,}"] for each in bins]
    tables = [TableOf("Calibration in ten bins", ["predicted", "observed", "rows"], rows, folded=True)] if bins else []
    shown = [figures.calibration(bins)] if bins else []
    return Section("Scores", figures=[*shown, figures.histogram(scored)], tables=tables)


def _attention(evaluation: Evaluation, rows: list[Example]) -> Iterable[Section]:
    if not evaluation.attention:
        return
    uniform = 1.0 / len(evaluation.attention)
    pairs = [
        [" x ".join(pair.fields), f"{pair.mean_weight:.4f}", f"{pair.mean_weight / uniform:.1f}"]
        for pair in evaluation.attention[:_PAIRS_SHOWN]
    ]
    table = TableOf("Most attended pairs of fields", ["pair", "mean weight", "x uniform"], pairs)
    yield Section("What it attends to", figures=[figures.heatmap(evaluation.attention)], tables=[table])
    if rows:
        text = (
            "Three positives, as the paper shows them (section 4.4): their most weighted pairs, and what each adds to "
            "the output of the AFM and of the FM that it started from."
        )
        heads = ["pair", "weight", "in the AFM", "in the FM"]
        tables = [
            TableOf(f"Score {example.score:.4f}, label {example.label:g}", heads, _pair_rows(example))
            for example in rows
        ]
        yield Section("Three rows", text, tables=tables)


def _pair_rows(example: Example) -> list[list[str]]:
    return [
        [f"{pair.left} x {pair.right}", f"{pair.weight:.4f}", f"{pair.contribution:+.4f}", _signed(pair.of_fm)]
        for pair in example.pairs
    ]


def _importance(sample: Sample, bundle: Bundle, scored: Scored) -> Section:
    metric, found = metric_of(bundle, scored), importances(sample, bundle, scored)
    title = f"increase of {metric.title}" if metric else "decrease of AUC"
    rows = [[each.field, f"{each.increase:+.4f}"] for each in found]
    text = (
        "How much worse the model is where the values of one field are exchanged between rows, mean of three "
        "permutations. Fields that say the same share their importance."
    )
    table = TableOf(f"Permutation importance: {title}", ["field", title], rows, folded=True)
    return Section("Importance of each field", text, [figures.bars(found, title)], [table])


def _errors(sample: Sample, bundle: Bundle, scored: Scored, values: pa.Array) -> Iterable[Section]:
    metric, found = metric_of(bundle, scored), errors_by_value(sample, bundle, scored, values)
    if not metric or not found:
        return
    heads = ["value", "rows", "observed", "predicted", metric.title]
    tables = [
        TableOf(
            name,
            heads,
            [
                [each.value, f"{each.rows:,}", f"{each.positives:.4f}", f"{each.predicted:.4f}", f"{each.error:.4f}"]
                for each in results
            ],
            folded=True,
        )
        for name, results in found.items()
    ]
    yield Section(
        "Where it errs", "For each field its most frequent values, the rest, and what is unknown.", tables=tables
    )


def _data(dataset: Dataset) -> Section:
    manifest = dataset.manifest
    facts = [["rows of the logs", f"{manifest.rows_in:,}"]]
    facts += [[f"rejected: {reason}", f"{rows:,}"] for reason, rows in manifest.rejected.items()]
    facts += [[f"instances of the {name} split", f"{split.rows:,}"] for name, split in manifest.splits.items()]
    facts += [["positives", f"{manifest.positives:,}"], ["negatives drawn", f"{manifest.negatives_found:,}"]]
    tables = [TableOf("Dataset", ["what", "rows"], facts)]
    try:
        with open_for_reading(dataset.path / PROFILE_FILE) as file:
            profile = pq.read_table(file).to_pylist()
    except OSError:  # of earlier releases
        return Section("The data", tables=tables)
    rows = [
        [
            str(each["field"]),
            str(each["kind"]),
            *[_count(each[key]) for key in ("missing", "unknown", "distinct")],
            ", ".join(each["top_values"] or ()),
        ]
        for each in profile
    ]
    heads = ["field", "kind", "missing", "unknown", "distinct", "most frequent"]
    return Section("The data", tables=[*tables, TableOf("Fields", heads, rows)])


def _number(value: float | None) -> str:
    return "" if value is None or math.isnan(value) else f"{value:.4f}"


def _signed(value: float | None) -> str:
    return "" if value is None else f"{value:+.4f}"


def _count(value: int | None) -> str:
    return "" if value is None else f"{value:,}"
