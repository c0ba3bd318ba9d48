"""The rules that a row of the logs must keep."""

from collections.abc import Callable, Iterator

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from afm_core.features import Categorical, Field, Numeric, Time
from afm_core.settings import Settings
from pipelines.logs.columns import CORRUPT, FILE, LIST, OURS, cleaned, column
from pipelines.logs.log_columns import LogColumns
from pipelines.logs.values import given_split, is_label, is_number, timestamp
from pipelines.spark_compat import is_json, is_valid_utf8, try_cast

_REPLACEMENT_CHARACTER = "\ufffd"  # what Spark puts where bytes are not UTF-8
_MAX_LENGTH = 32_768  # characters of a value; longer values indicate a lost quote and would fill the feature map
_CONTROL = (
    r"[\x00-\x08\x0B\x0C\x0E-\x1F]"  # all but tabs and line ends: signs of damage, and one of them marks list elements
)
_TEXT = f"{OURS}text"  # all columns of a row, joined once instead of once per rule
REJECT = f"{OURS}reject"
"""Column of judged rows: a struct of rule and column, null where a row breaks no rule."""


def judge_logs(raw: DataFrame, settings: Settings, columns: LogColumns) -> DataFrame:
    """The rows of `raw` (see `read_logs`) with cleaned text, and a column with the rule that each row breaks."""
    rows = raw.select(*[cleaned(column(name), columns.missing).alias(name) for name in columns.names], CORRUPT, FILE)
    with_text = rows.withColumn(_TEXT, F.concat_ws(" ", *_unmarked(columns).values()))
    # A filter on the reject must stay above these projections: the optimiser pushes it below them by repeating every
    # column in it, and a night of 200 columns then fills a heap of 2 GiB. It leaves alone what is not deterministic.
    stay = F.when(F.spark_partition_id() < 0, _broken("never"))
    return with_text.withColumn(REJECT, F.coalesce(*_rules(settings, columns), stay)).drop(_TEXT)


def _rules(settings: Settings, columns: LogColumns) -> Iterator[Column]:
    """For each rule a struct (rule, column) where the row breaks it, else null. The first broken rule is the reason."""
    yield F.when(F.col(CORRUPT).isNotNull(), _broken("malformed"))
    yield from _text_rules(settings, columns)
    for name in settings.required_fields:
        for source in settings.field(name).sources:
            yield F.when(column(source).isNull(), _broken("missing", source))
    for field in settings.fields:
        yield from _kind_rules(field)
    label, split = settings.label, settings.split
    if columns.labelled and label.column:
        yield F.when(column(label.column).isNull(), _broken("missing", label.column))
        yield F.when(~is_label(label), _broken("not_a_label", label.column))
    if columns.labelled and label.weight:
        value = column(label.weight)
        is_weight = is_number(value) & (try_cast(value, "float") >= 0) & (try_cast(value, "float") < float("inf"))
        yield F.when(~F.coalesce(is_weight, F.lit(False)), _broken("not_a_weight", label.weight))
    if columns.labelled and split.time_source:
        time = split.time_source
        yield F.when(timestamp(column(time), split.time_format).isNull(), _broken("not_a_timestamp", time))
    if columns.labelled and split.column:
        yield F.when(given_split(split.column).isNull(), _broken("not_a_split", split.column))


def _text_rules(settings: Settings, columns: LogColumns) -> Iterator[Column]:
    """Rules for text, whatever it means: valid UTF-8, not too long, no control characters, no nested value.

    Hardly any row breaks them, so they test all columns of a row as one text first; testing 20 columns one by one took
    twice as long.
    """
    values = {name: column(name) for name in columns.names}
    unmarked, row = _unmarked(columns), F.col(_TEXT)
    yield F.when(_is_not_utf8(row), _broken("not_utf8", _first(values, _is_not_utf8)))
    longest = F.when(F.octet_length(row) > _MAX_LENGTH, _first(values, lambda text: F.length(text) > _MAX_LENGTH))
    yield F.when(longest.isNotNull(), _broken("too_long", longest))
    yield F.when(row.rlike(_CONTROL), _broken("control_character", _first(unmarked, lambda text: text.rlike(_CONTROL))))
    if settings.logs.format == "json":
        nested = F.when(row.contains("{") | row.contains("["), _first(values, is_nested))
        yield F.when(nested.isNotNull(), _broken("not_a_value", nested))


def _unmarked(columns: LogColumns) -> dict[str, Column]:
    """The columns of a row without the marks that the reader puts into lists."""
    values = {name: column(name) for name in columns.names}
    return {
        name: F.translate(value, LIST, "") if name in columns.tag_sources else value for name, value in values.items()
    }


def _first(values: dict[str, Column], is_broken: Callable[[Column], Column]) -> Column:
    """Name of the first column whose value breaks a rule, or null."""
    pairs = F.array(*[F.struct(F.lit(name).alias("name"), text.alias("text")) for name, text in values.items()])
    return F.get(F.filter(pairs, lambda pair: is_broken(pair.getField("text"))), F.lit(0)).getField("name")


def _is_not_utf8(text: Column) -> Column:
    # The first is for CSV and JSON, the second for other formats.
    return text.contains(_REPLACEMENT_CHARACTER) | ~is_valid_utf8(text)


def is_nested(text: Column) -> Column:
    """Whether a text from JSON, or one of its tags, is an object or a list, which Spark's reader turns into text."""
    parts = F.filter(F.split(text, LIST), lambda part: part.startswith("{") | part.startswith("["))
    return F.exists(parts, is_json)


def _kind_rules(field: Field) -> Iterator[Column]:
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
            value = column(field.source)
            yield F.when(
                value.isNotNull() & timestamp(value, field.format).isNull(), _broken("not_a_timestamp", field.source)
            )


def _broken(rule: str, name: Column | str | None = None) -> Column:
    return F.struct(F.lit(rule).alias("rule"), F.lit(name).cast("string").alias("column"))
