"""Parsing the text of the logs: numbers, times, labels, tags."""

from pyspark.sql import Column
from pyspark.sql import functions as F

from afm_core.features import Tags, Time
from afm_core.labels import NEGATIVE, POSITIVE
from afm_core.settings.data import LabelSettings
from pipelines.logs.columns import LIST, column
from pipelines.spark_compat import try_cast

_NUMBER = r"^[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?$"
_MAX_NUMBER = 1e150  # its square is still a double
_SECONDS = r"^-?\d{1,11}(\.\d+)?$"
_DAY_WITHOUT_DASHES = r"^(19|20)\d\d(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])$"  # not a second of the year 1970
_ISO = r"^\d{4}-\d{1,2}-\d{1,2}([ T].+)?$"  # Spark alone would read 12:30 as a time of the current day


def is_number(text: Column) -> Column:
    """Whether a text is a number in decimal notation whose square is finite."""
    return text.rlike(_NUMBER) & (F.abs(try_cast(text, "double")) < _MAX_NUMBER)


def timestamp(text: Column) -> Column:
    """Seconds since 1970 or ISO 8601 as a timestamp (ISO without a zone is UTC), null for anything else."""
    is_seconds = text.rlike(_SECONDS) & ~text.rlike(_DAY_WITHOUT_DASHES)
    seconds = F.timestamp_seconds(try_cast(text, "double"))
    return F.when(is_seconds, seconds).when(text.rlike(_ISO), try_cast(text, "timestamp"))


def part_of_time(field: Time) -> Column:
    """The value of a time field as text."""
    local = F.from_utc_timestamp(timestamp(column(field.of)), field.timezone)
    monday_is_0 = F.weekday(local)
    parts = {
        "hour": F.hour(local),
        "weekday": monday_is_0 + 1,
        "weekend": monday_is_0 >= 5,
        "month": F.month(local),
    }
    return parts[field.part].cast("string")


def tag_values(field: Tags) -> Column:
    """The distinct tags of a row as an array of text, in no particular order; null where there are none."""
    source = column(field.source)
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
    if label.at_least is not None:
        return is_number(text)
    if label.range is not None:
        return is_number(text) & try_cast(text, "double").between(*label.range)
    return text.isin("true", "false") | (is_number(text) & try_cast(text, "double").isin(-1.0, 0.0, 1.0))


def label_value(label: LabelSettings) -> Column:
    """The label, float32 from -1 to 1, of a row whose text is allowed."""
    if label.column is None:
        return F.lit(POSITIVE).cast("float")
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
