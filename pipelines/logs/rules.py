"""The rules that a raw row may break."""

from collections.abc import Callable, Iterator

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from afm_core.features import Categorical, Field, Numeric, Tags, Time
from afm_core.settings import Settings
from pipelines.logs.columns import CORRUPT, FILE, LIST, column
from pipelines.logs.reading import wanted_columns
from pipelines.logs.values import is_label, is_number, timestamp

_REPLACEMENT_CHARACTER = "\ufffd"  # what Spark puts where bytes are not UTF-8
_LONGEST = 32_768  # characters of a value; longer ones are a sign of lost quotes, and would fill the feature map
_CONTROL = r"[\x00-\x08\x0B\x0C\x0E-\x1F]"  # all but tabs and line ends: signs of damage, and one is our own mark
_TEXT = "_ text of the row"  # all columns of a row: Spark would put it together again for each rule that reads it
REJECT = "_reject"
"""Column of judged rows: a struct of rule and column, null where a row breaks none."""


def judge_logs(raw: DataFrame, settings: Settings, labelled: bool = False) -> DataFrame:
    """The rows of `raw` (see `read_logs`) with their text cleaned and a column that says which rule each breaks.

    Args:
        labelled: whether the rows must have a label and a weight, where the settings name columns of them.
    """
    cleaned = raw.select(*[_clean(name) for name in wanted_columns(settings, labelled)], CORRUPT, FILE)
    with_text = cleaned.withColumn(_TEXT, F.concat_ws(" ", *_unmarked(settings, labelled).values()))
    return with_text.withColumn(REJECT, F.coalesce(*_rules(settings, labelled))).drop(_TEXT)


def _clean(name: str) -> Column:
    """Text without surrounding blanks; empty text is a missing value."""
    text = F.trim(column(name))
    return F.when(text != "", text).alias(name)


def _rules(settings: Settings, labelled: bool) -> Iterator[Column]:
    """For each rule a struct (rule, column) where the row breaks it, else null. The first broken one counts."""
    yield F.when(F.col(CORRUPT).isNotNull(), _broken("malformed"))
    yield from _rules_of_text(settings, labelled)
    for name in settings.required_fields:
        for source in settings.field(name).sources:
            yield F.when(column(source).isNull(), _broken("missing", source))
    for field in settings.fields:
        yield from _rules_of_kind(field)
    label, time = settings.label, settings.split.time
    if labelled and label.column:
        yield F.when(column(label.column).isNull(), _broken("missing", label.column))
        yield F.when(~is_label(label), _broken("not_a_label", label.column))
    if labelled and label.weight:
        value = column(label.weight)
        is_weight = is_number(value) & (value.try_cast("float") >= 0) & (value.try_cast("float") < float("inf"))
        yield F.when(~F.coalesce(is_weight, F.lit(False)), _broken("not_a_weight", label.weight))
    if labelled and time:
        yield F.when(timestamp(column(time)).isNull(), _broken("not_a_timestamp", time))


def _rules_of_text(settings: Settings, labelled: bool) -> Iterator[Column]:
    """Whatever a value means: it must be whole text, of one value.

    Hardly any row breaks these rules, so they look at the row as one text first: with a search for each column the
    check of 20 columns took twice as long.
    """
    values = {name: column(name) for name in wanted_columns(settings, labelled)}
    unmarked, row = _unmarked(settings, labelled), F.col(_TEXT)
    yield F.when(_is_not_utf8(row), _broken("not_utf8", _first(values, _is_not_utf8)))
    longest = F.when(F.octet_length(row) > _LONGEST, _first(values, lambda text: F.length(text) > _LONGEST))
    yield F.when(longest.isNotNull(), _broken("too_long", longest))
    yield F.when(row.rlike(_CONTROL), _broken("control_character", _first(unmarked, lambda text: text.rlike(_CONTROL))))
    if settings.logs.format == "json":
        nested = F.when(row.contains("{") | row.contains("["), _first(values, _is_nested))
        yield F.when(nested.isNotNull(), _broken("not_a_value", nested))


def _unmarked(settings: Settings, labelled: bool) -> dict[str, Column]:
    """The columns of a row, without the marks that we put into lists."""
    lists = {field.source for field in settings.fields if isinstance(field, Tags)}
    values = {name: column(name) for name in wanted_columns(settings, labelled)}
    return {name: F.translate(value, LIST, "") if name in lists else value for name, value in values.items()}


def _first(values: dict[str, Column], is_broken: Callable[[Column], Column]) -> Column:
    """Name of the first column whose value is broken, or null."""
    pairs = F.array(*[F.struct(F.lit(name).alias("name"), text.alias("text")) for name, text in values.items()])
    return F.get(F.filter(pairs, lambda pair: is_broken(pair.getField("text"))), F.lit(0)).getField("name")


def _is_not_utf8(text: Column) -> Column:
    return text.contains(_REPLACEMENT_CHARACTER) | ~F.is_valid_utf8(text)  # text of CSV and JSON | of other formats


def _is_nested(text: Column) -> Column:
    """Whether a text of JSON's, or one of its tags, is an object or a list: Spark's reader makes text of both."""
    parts = F.filter(F.split(text, LIST), lambda part: part.startswith("{") | part.startswith("["))
    return F.exists(parts, lambda part: F.try_parse_json(part).isNotNull())


def _rules_of_kind(field: Field) -> Iterator[Column]:
    match field:
        case Categorical(type="integer"):
            value = column(field.source)
            yield F.when(value.isNotNull() & ~value.rlike(r"^-?\d+\z"), _broken("not_an_integer", field.source))
        case Numeric():
            value = column(field.source)
            yield F.when(value.isNotNull() & ~is_number(value), _broken("not_a_number", field.source))
            if field.missing == "reject":
                yield F.when(value.isNull(), _broken("missing", field.source))
        case Time():
            value = column(field.of)
            yield F.when(value.isNotNull() & timestamp(value).isNull(), _broken("not_a_timestamp", field.of))


def _broken(rule: str, name: Column | str | None = None) -> Column:
    return F.struct(F.lit(rule).alias("rule"), F.lit(name).cast("string").alias("column"))
