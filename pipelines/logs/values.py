"""Parsing the text of the logs: numbers, times, labels, tags."""

from pyspark.sql import Column
from pyspark.sql import functions as F

from afm_core.features import Tags, Time
from afm_core.labels import NEGATIVE, POSITIVE
from afm_core.settings.data import LabelSettings
from pipelines.logs.columns import LIST, column
from pipelines.logs.lists import marked
from pipelines.spark_compat import try_cast

_NUMBER = r"^[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?$"
_MAX_NUMBER = 1e150  # its square is still a double
_DIGITS = r"^-?\d{1,18}(\.\d+)?$"
_EXACT = "decimal(24,6)"  # a double has no exact microseconds
_PLAUSIBLE_SECONDS = (631_152_000, 4_102_444_800)  # 1990 to 2100; other numbers are dates or ids rather than seconds
_DAY_AND_HOUR = r"^(19|20)\d\d(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])([01]\d|2[0-3])$"  # not seconds of 2030 to 2036
_LARGEST_SECONDS = 1e11  # the year 5138
_UNITS_PER_SECOND = {"epoch_s": 1, "epoch_ms": 1_000, "epoch_us": 1_000_000}
_ISO = r"^\d{4}-\d{1,2}-\d{1,2}([ T].+)?$"  # Spark alone would read 12:30 as a time of the current day


def is_number(text: Column) -> Column:
    """Whether a text is a number in decimal notation whose square is finite."""
    return text.rlike(_NUMBER) & (F.abs(try_cast(text, "double")) < _MAX_NUMBER)


def timestamp(text: Column, format: str | None = None) -> Column:
    """A text as a timestamp with microseconds, null where it is none; a time without a zone is UTC.

    Args:
        format: as in the settings; None takes ISO 8601, and seconds since 1970 between 1990 and 2100.
    """
    number = F.when(text.rlike(_DIGITS), text.cast(_EXACT))
    if format in _UNITS_PER_SECOND:
        seconds = number / F.lit(_UNITS_PER_SECOND[format]).cast("decimal(10,0)")
        return F.when(F.abs(seconds) < _LARGEST_SECONDS, F.timestamp_seconds(seconds.cast(_EXACT)))
    if format is not None:
        return F.try_to_timestamp(text, F.lit(format))
    is_plausible = number.between(*_PLAUSIBLE_SECONDS) & ~text.rlike(_DAY_AND_HOUR)
    return F.when(is_plausible, F.timestamp_seconds(number)).when(text.rlike(_ISO), try_cast(text, "timestamp"))


def given_split(name: str) -> Column:
    """The split that a column of the logs says: 0 train, 1 valid, 2 test; null where it says none of them."""
    text = F.lower(column(name))
    return F.when(text == "train", 0).when(text.isin("valid", "validation"), 1).when(text == "test", 2)


def part_of_time(field: Time) -> Column:
    """The value of a time field as text."""
    local = F.from_utc_timestamp(timestamp(column(field.source), field.format), field.timezone)
    monday_is_0 = F.weekday(local)
    parts = {
        "hour": F.hour(local),
        "weekday": monday_is_0 + 1,
        "weekend": monday_is_0 >= 5,
        "month": F.month(local),
    }
    return parts[field.part].cast("string")


def tag_values(field: Tags) -> Column:
    """The distinct tags of a row as an array of text, in no particular order; null where there are none.

    Text such as `[27, 9]` or `["a", 'b']` is a list, too, as JSON and Python write it.
    """
    source = marked(column(field.source))
    text = F.lower(source) if field.ignore_case else source
    listed = F.split(F.substring(text, 2, 1 << 30), LIST)
    split = F.split(text, rf"\Q{field.separator}\E")
    # Not F.trim itself: transform would pass the position as its second argument, the characters to trim.
    tags = F.transform(F.when(text.startswith(LIST), listed).otherwise(split), lambda tag: F.trim(tag))
    tags = F.array_distinct(F.filter(tags, lambda tag: tag != ""))
    return F.when(F.size(tags) > 0, tags)


def is_label(label: LabelSettings) -> Column:
    """Whether the text of the label's column is allowed."""
    text = F.lower(column(label.column or ""))
    if label.positive:
        return F.lit(True)
    if label.at_least is not None:
        return is_number(text)
    if label.range is not None:
        return is_number(text) & try_cast(text, "double").between(*label.range)
    return text.isin("true", "false") | (is_number(text) & try_cast(text, "double").isin(-1.0, 0.0, 1.0))


def label_value(label: LabelSettings) -> Column:
    """The label, float32 from -1 to 1, of a row whose text is allowed."""
    if label.column is None:
        return F.lit(POSITIVE).cast("float")
    if label.positive:
        is_positive = column(label.column).isin(*label.positive)
        return F.when(is_positive, POSITIVE).otherwise(NEGATIVE).cast("float")
    number = try_cast(column(label.column), "double")
    if label.range is not None:
        low, high = label.range
        return (NEGATIVE + (POSITIVE - NEGATIVE) * (number - low) / (high - low)).cast("float")
    is_positive = number >= label.at_least if label.at_least is not None else number > 0
    if label.at_least is None:
        is_positive = F.coalesce(is_positive, F.lower(column(label.column)) == "true")
    return F.when(is_positive, POSITIVE).otherwise(NEGATIVE).cast("float")


def weight_value(label: LabelSettings) -> Column:
    """The weight of an event in the loss, float32."""
    return F.lit(1.0).cast("float") if label.weight is None else try_cast(column(label.weight), "float")
