"""What one part of the settings asks of another: names that must exist, kinds that must fit."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, get_args
from zoneinfo import ZoneInfo

from pydantic import ValidationError

from afm_core.features.field import SINGLE_ID, Categorical, CoOccurrence, Crossed, Field, Frequency, Time
from afm_core.settings.training import ModelSettings

if TYPE_CHECKING:
    from afm_core.settings.tree import Settings

REGISTERED = get_args(ModelSettings.model_fields["name"].annotation)
_WRITTEN_BY_US = {"label", "row_key", "dt", "weight"}


def first_problem(settings: "Settings") -> str | None:
    """The first disagreement, as one line, or None."""
    return next(_problems(settings), None)


def _problems(settings: "Settings") -> Iterator[str]:
    names = settings.field_names
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        yield f"fields: {', '.join(twice)} declared more than once"
    reserved = sorted(_WRITTEN_BY_US & set(names))
    if reserved:
        yield f"fields: {', '.join(reserved)} is a column that the pipeline writes itself; rename it"
    columns = [column for field in settings.fields for column in _dataset_columns(field)]
    clashing = sorted({column for column in columns if columns.count(column) > 1})
    if clashing:
        yield f"fields: two of them would write the dataset's column {clashing[0]}; rename one"
    for field in settings.fields:
        yield from _derived_from_fields(settings, field)
    if settings.per_positive:
        yield from _negatives(settings)
    yield from _split(settings)
    yield from _task(settings)
    for name, entry in settings.compare.items():
        for key, section in (("model", settings.model), ("train", settings.train)):
            try:
                type(section).model_validate({**section.model_dump(), **getattr(entry, key)})
            except ValidationError as error:
                first = error.errors()[0]
                where = ".".join(map(str, (key, *first["loc"])))
                yield f"compare.{name}.{where}: found {first['input']!r}; {first['msg'].lower()}"
    yield from _varied(settings)
    logs = settings.logs
    if logs.separator_in is not None and logs.separator_in not in logs.columns:
        yield "logs.separator_in needs logs.columns, without a header, and must be one of them"


def _varied(settings: "Settings") -> Iterator[str]:
    keys = [f"model.{name}" for name in type(settings.model).model_fields]
    keys += [f"train.{name}" for name in type(settings.train).model_fields]
    for key, dimension in settings.search.space.items():
        if key not in keys:
            yield f"search.space: found {key!r}, allowed are keys of model and train, such as model.pooled_dropout"
        for model in dimension.models:
            if model not in REGISTERED:
                yield f"search.space.{key}.models: found {model!r}, allowed are {', '.join(REGISTERED)}"
    for name, study in settings.studies.items():
        if study.key not in keys:
            yield f"studies.{name}.key: found {study.key!r}, allowed are keys of model and train"
        if study.model not in settings.compare:
            yield f"studies.{name}.model: found {study.model!r}, allowed are {', '.join(settings.compare) or 'none'}"


def _dataset_columns(field: Field) -> list[str]:
    columns = [field.name] if field.width == 1 else [f"{field.name}_{slot}" for slot in range(1, field.width + 1)]
    return [*columns, f"{field.name}_x"] if field.carries_x else columns


def _derived_from_fields(settings: "Settings", field: Field) -> Iterator[str]:
    if isinstance(field, Crossed | Frequency | CoOccurrence):
        single = _single_id_fields(settings)
        for name in field.of:
            if name not in single:
                yield f"fields: {field.name}: of: found {name!r}, allowed is one of: {', '.join(single)}"
    if isinstance(field, Time):
        try:
            ZoneInfo(field.timezone)
        except (KeyError, ValueError, OSError):
            yield f"fields: {field.name}: timezone: found {field.timezone!r}, allowed are names such as Europe/Berlin"


def _negatives(settings: "Settings") -> Iterator[str]:
    negatives = settings.negatives
    if settings.label.range is not None:
        yield "negatives.per_positive must be 0 where label.range makes the labels numbers"
    replaceable = [field.name for field in settings.fields if isinstance(field, Categorical)]
    for key, allowed, found in (
        ("replace", replaceable, negatives.replace),
        ("never_seen_by", _single_id_fields(settings), settings.seen_by),
        ("within", _single_id_fields(settings), negatives.within or ()),
    ):
        for name in found:
            if name not in allowed:
                yield f"negatives.{key}: found {name!r}, allowed is one of the fields: {', '.join(allowed)}"
        if key != "replace" and set(found) & set(negatives.replace):
            yield f"negatives.replace and negatives.{key} must be different fields"
    if (negatives.draw == "hard") != (negatives.within is not None):
        yield "negatives.within names the context of draw: hard; give both or neither"


def _split(settings: "Settings") -> Iterator[str]:
    rules, single = ["random", "positive", "time", "leave_one_out"], _single_id_fields(settings)
    split = settings.split
    if split.by not in (*rules, *single):
        yield f"split.by: found {split.by!r}, allowed is one of {', '.join([*rules, *single])}"
    if split.by in settings.negatives.replace and settings.per_positive:
        yield f"split.by: {split.by} is replaced in negatives, so they could not stay with their positive"
    if split.of is not None and split.of not in single:
        yield f"split.of: found {split.of!r}, allowed is one of {', '.join(single)}"


def _task(settings: "Settings") -> Iterator[str]:
    single, lists = _single_id_fields(settings), settings.evaluate.lists
    if lists is not None and lists not in single:
        yield f"evaluate.lists: found {lists!r}, allowed is one of the fields: {', '.join(single)}"
    task = settings.train.task
    if task != "regression" and settings.label.range is not None:
        yield f"train.task: {task} needs positives and negatives; label.range makes the labels numbers"
    if task == "ranking" and settings.split.by != "positive":
        yield f"train.task: ranking needs split.by: positive, found {settings.split.by}"
    if task == "ranking" and not settings.per_positive:
        yield "train.task: ranking needs negatives of its own for each positive; set negatives.per_positive"


def _single_id_fields(settings: "Settings") -> list[str]:
    return [field.name for field in settings.fields if isinstance(field, SINGLE_ID)]
