"""What one section of the settings requires of another: names that must exist, kinds that must fit.

Each function yields one line for each problem.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, get_args
from zoneinfo import ZoneInfo

from pydantic import ValidationError

from afm_core.features.derived_field import Derived, TargetRate
from afm_core.features.field import SINGLE_ID, Categorical, Field, Time
from afm_core.settings.data import LabelSettings, LogsSettings, NegativesSettings, SplitSettings
from afm_core.settings.experiments import ModelVariant, SearchSettings, Study
from afm_core.settings.model import ModelSettings
from afm_core.settings.score import RecommendSettings, ScoreSettings
from afm_core.settings.train import TrainSettings
from afm_core.storage.urls import Url

REGISTERED_MODELS = get_args(ModelSettings.model_fields["name"].annotation)
_RESERVED_COLUMNS = {"label", "row_key", "dt", "weight"}
_SCORE_COLUMNS = {"score", "model"}
_SPLIT_RULES = ("random", "positive", "time", "leave_one_out", "column")


def single_id_fields(fields: Sequence[Field]) -> list[str]:
    """Names of the fields with one id per row that tells which value it is: these can be crossed and counted."""
    return [field.name for field in fields if isinstance(field, SINGLE_ID)]


def field_problems(fields: Sequence[Field]) -> Iterator[str]:
    """Names used twice, names of reserved columns, and fields derived from fields that do not exist."""
    # Spark does not distinguish names by case.
    names, folded = [field.name for field in fields], [field.name.lower() for field in fields]
    duplicates = sorted({name for name in names if folded.count(name.lower()) > 1})
    if duplicates:
        yield f"fields: {', '.join(duplicates)} declared more than once"
    reserved = sorted({name for name in names if name.lower() in _RESERVED_COLUMNS})
    if reserved:
        yield f"fields: {', '.join(reserved)} is a column that the pipeline writes itself; rename it"
    columns = [column.lower() for field in fields for column in _dataset_columns(field)]
    clashing = sorted({column for column in columns if columns.count(column) > 1})
    if clashing:
        yield f"fields: two of them would write the dataset's column {clashing[0]}; rename one"
    for field in fields:
        yield from _field_problems(field, fields)


def label_problems(label: LabelSettings, fields: Sequence[Field], *, draws_negatives: bool) -> Iterator[str]:
    """Fields that need labels of two values which the logs know, not negatives that are drawn."""
    for field in fields:
        if isinstance(field, TargetRate) and (label.column is None or label.range is not None or draws_negatives):
            yield (
                f"fields: {field.name}: a target_rate needs logs with positives and negatives; set label.column, and "
                "neither label.range nor negatives.per_positive"
            )


def logs_problems(logs: LogsSettings) -> Iterator[str]:
    """A column that may contain the separator must be one of the named columns."""
    if logs.separator_in is not None and logs.separator_in not in logs.columns:
        yield "logs.separator_in needs logs.columns, without a header, and must be one of them"


def join_problems(
    logs: LogsSettings,
    negatives: NegativesSettings,
    fields: Sequence[Field],
    seen_by: Sequence[str],
    with_item: Sequence[str],
) -> Iterator[str]:
    """Columns that two joins would add, and what cannot be replaced together with an item.

    Args:
        with_item: the fields that read what a join says about a replaced field; none where no negatives are drawn.
    """
    added = [name for join in logs.join for name in join.columns]
    for name in dict.fromkeys(name for name in added if added.count(name) > 1):
        yield f"logs.join: two tables add the column {name}; leave it out of one"
    for join in logs.join:
        if join.on in added:
            yield f"logs.join: on: {join.on} is a column that a join adds, allowed are columns of the logs"
    for key, names in (("replace", negatives.replace), ("never_seen_by", seen_by), ("within", negatives.within or ())):
        for name in set(names) & set(with_item):
            yield f"negatives.{key}: {name} belongs to the item by logs.join and is replaced with it; leave it out"
    folded = [field.name for field in fields if isinstance(field, Categorical) and field.ignore_case]
    for name in set(folded) & set(negatives.replace) if with_item else ():
        yield f"fields: {name}: ignore_case: its values are looked up in a table of logs.join as they are written"


def scores_problems(logs: LogsSettings, fields: Sequence[Field]) -> Iterator[str]:
    """Columns that the scores of a night carry beside their own must have other names."""
    for name in logs.keys:
        if name.lower() in _SCORE_COLUMNS:
            yield f"logs.keys: found {name!r}, which is a column of the scores; rename it in the logs or leave it out"
    carried = [] if logs.keys else [source for field in fields for source in field.sources]
    for name in dict.fromkeys(name for name in carried if name.lower() in _SCORE_COLUMNS):
        yield (
            f"fields: column {name!r} is a column of the scores, which carry the columns of all fields; set logs.keys"
        )


def nights_problems(score: ScoreSettings, recommend: RecommendSettings) -> Iterator[str]:
    """Only a disk can replace a folder of Parquet in one step."""
    for key, path in (("score.path", score.path), ("recommend.path", recommend.path)):
        if score.format == "parquet" and isinstance(path, Url):
            yield f"score.format: found parquet with the URL {path} in {key}, allowed there is delta"


def negatives_problems(
    negatives: NegativesSettings, label: LabelSettings, fields: Sequence[Field], seen_by: Sequence[str]
) -> Iterator[str]:
    """Fields that are not declared or cannot be replaced; only where negatives are drawn."""
    if label.range is not None:
        yield "negatives.per_positive must be 0 where label.range makes the labels numbers"
    replaceable, single = [field.name for field in fields if isinstance(field, Categorical)], single_id_fields(fields)
    for key, allowed, names in (
        ("replace", replaceable, negatives.replace),
        ("never_seen_by", single, seen_by),
        ("within", single, negatives.within or ()),
    ):
        for name in names:
            if name not in allowed:
                yield f"negatives.{key}: found {name!r}, allowed is one of the fields: {', '.join(allowed)}"
        if key != "replace" and set(names) & set(negatives.replace):
            yield f"negatives.replace and negatives.{key} must be different fields"
    if (negatives.draw == "hard") != (negatives.within is not None):
        yield "negatives.within names the context of draw: hard; give both or neither"


def unused_negatives_problems(negatives: NegativesSettings, fields: Sequence[Field]) -> Iterator[str]:
    """Fields that are named in the settings and not declared; their defaults mean nothing where none are drawn."""
    known = [field.name for field in fields]
    defaults = NegativesSettings()
    for key in ("never_seen_by", "replace"):
        names = getattr(negatives, key)
        if names == getattr(defaults, key):  # also where a bundle has written it down
            continue
        for name in () if isinstance(names, str) else names:
            if name not in known:
                yield f"negatives.{key}: found {name!r}, allowed is one of the fields: {', '.join(known)}"


def split_problems(
    split: SplitSettings, negatives: NegativesSettings, fields: Sequence[Field], *, draws_negatives: bool
) -> Iterator[str]:
    """A rule or field that does not exist, or one that would separate negatives from their positive."""
    single = single_id_fields(fields)
    if split.by not in (*_SPLIT_RULES, *single):
        yield f"split.by: found {split.by!r}, allowed is one of {', '.join([*_SPLIT_RULES, *single])}"
    if split.by in negatives.replace and draws_negatives:
        yield f"split.by: {split.by} is replaced in negatives, so they could not stay with their positive"
    if split.of is not None and split.of not in single:
        yield f"split.of: found {split.of!r}, allowed is one of {', '.join(single)}"


def task_problems(
    train: TrainSettings,
    label: LabelSettings,
    split: SplitSettings,
    group_by: str | None,
    fields: Sequence[Field],
    *,
    draws_negatives: bool,
) -> Iterator[str]:
    """Labels and splits that do not fit the task."""
    single = single_id_fields(fields)
    if group_by is not None and group_by not in single:
        yield f"evaluate.group_by: found {group_by!r}, allowed is one of the fields: {', '.join(single)}"
    if train.task != "regression" and label.range is not None:
        yield f"train.task: {train.task} needs positives and negatives; label.range makes the labels numbers"
    if train.monitor == "auc" and label.range is not None:
        yield "train.monitor: auc needs positives and negatives; label.range makes the labels numbers"
    if label.column and split.by == "leave_one_out" and not draws_negatives:
        yield (
            "split.by: leave_one_out leaves out positives alone, and where the logs have labels there is nothing to "
            "compare them with; split by time, or draw negatives"
        )
    if train.task == "ranking" and split.by != "positive":
        yield f"train.task: ranking needs split.by: positive, found {split.by}"
    if train.task == "ranking" and not draws_negatives:
        yield "train.task: ranking needs negatives of its own for each positive; set negatives.per_positive"


def fit_problems(train: TrainSettings, model: ModelSettings, label: LabelSettings) -> Iterator[str]:
    """What Gibbs sampling cannot fit."""
    if train.fit == "gibbs" and model.name != "fm":
        yield f"train.fit: gibbs is for model.name: fm, found {model.name}; start it from one: train.warm_start.fit"
    if label.weight and "gibbs" in (train.fit, train.warm_start.fit if train.warm_start else None):
        yield "train.fit: gibbs takes no weights; leave out label.weight, or fit by gradient"


def experiment_problems(
    compare: Mapping[str, ModelVariant],
    studies: Mapping[str, Study],
    search: SearchSettings,
    model: ModelSettings,
    train: TrainSettings,
) -> Iterator[str]:
    """Keys of `model` and `train` that do not exist, and names that are not in `compare`."""
    for name, variant in compare.items():
        yield from _variant_problems(f"compare.{name}.model", model, variant.model)
        yield from _variant_problems(f"compare.{name}.train", train, variant.train)
    keys = [f"model.{name}" for name in type(model).model_fields]
    keys += [f"train.{name}" for name in type(train).model_fields]
    for key, dimension in search.space.items():
        if key not in keys:
            yield f"search.space: found {key!r}, allowed are keys of model and train, such as model.pooled_dropout"
        for registered in dimension.models:
            if registered not in REGISTERED_MODELS:
                allowed = ", ".join(REGISTERED_MODELS)
                yield f"search.space.{key}.models: found {registered!r}, allowed are {allowed}"
    for name, study in studies.items():
        if study.key not in keys:
            yield f"studies.{name}.key: found {study.key!r}, allowed are keys of model and train"
        if study.model not in compare:
            yield f"studies.{name}.model: found {study.model!r}, allowed are {', '.join(compare) or 'none'}"


def _dataset_columns(field: Field) -> list[str]:
    columns = [field.name] if field.width == 1 else [f"{field.name}_{slot}" for slot in range(1, field.width + 1)]
    return [*columns, f"{field.name}_x"] if field.carries_x else columns


def _field_problems(field: Field, fields: Sequence[Field]) -> Iterator[str]:
    if isinstance(field, Derived):
        single = single_id_fields(fields)
        for name in field.of:
            if name not in single:
                yield f"fields: {field.name}: of: found {name!r}, allowed is one of: {', '.join(single)}"
    if isinstance(field, Time):
        try:
            ZoneInfo(field.timezone)
        except (KeyError, ValueError, OSError):
            yield f"fields: {field.name}: timezone: found {field.timezone!r}, allowed are names such as Europe/Berlin"


def _variant_problems(
    location: str, section: ModelSettings | TrainSettings, changes: Mapping[str, Any]
) -> Iterator[str]:
    try:
        type(section).model_validate({**section.model_dump(), **changes})
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, (location, *first["loc"])))
        yield f"{key}: found {first['input']!r}; {first['msg'].lower()}"
