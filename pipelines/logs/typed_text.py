"""Typed columns as the text that a CSV of the same rows would hold.

Spark's own casts write a number such as 10000002.0 as 1.0000002E7, which equals no value of any other file.
"""

from collections.abc import Collection, Sequence

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, AtomicType, DataType, DecimalType, DoubleType, FloatType, NullType

from afm_core.errors import LogsError
from afm_core.settings.data import LogsSettings
from pipelines.logs.columns import CORRUPT, FILE, column, require, require_once, without_marks
from pipelines.logs.lists import joined
from pipelines.logs.sources import PARTITION

METADATA = "_metadata"
"""Column in which Spark tells the file of a row."""

_WHOLE = 9.0e18  # below this size a whole number is an exact bigint
_DIGITS = 1e37  # below this size a whole number is an exact decimal of 38 digits
_EXPONENT_FROM, _EXPONENT_BELOW = 1e7, 1e-3  # between them, Java writes fractions without an exponent
_LEAST = 1e-13  # from this size on, a decimal of 30 places holds the 17 digits of a double


def as_text(value: Column, type_: DataType) -> Column:
    """A plain value as text.

    A whole number has no decimal point, whatever its type: floats that pandas made of integers are these integers,
    exactly. A fraction has no trailing zeros and, from 1e-13 on, no exponent. NaN is a missing value, as in pandas.
    """
    if isinstance(type_, FloatType | DoubleType):
        return _float_as_text(value)
    text = value.cast("string")
    if isinstance(type_, DecimalType) and type_.scale > 0:
        return _without_trailing_zeros(text)
    return text


def _float_as_text(value: Column) -> Column:
    size, text = F.abs(value), value.cast("string")
    is_whole = value == F.rint(value)
    # In `when`, Spark evaluates a branch only for the rows that reach it: no cast overflows.
    as_decimal = F.when(size < _DIGITS, value.cast("double").cast("decimal(38,0)"))
    whole = F.when(size < _WHOLE, value.cast("bigint").cast("string")).when(size < _DIGITS, as_decimal.cast("string"))
    large, small = (_without_trailing_zeros(text.cast(f"decimal(38,{places})")) for places in (12, 30))
    fraction = F.when(size >= _EXPONENT_FROM, large).when(size >= _EXPONENT_BELOW, text)
    fraction = fraction.when(size >= _LEAST, small).otherwise(text)
    return F.when(F.isnan(value), None).when(size >= _DIGITS, text).when(is_whole, whole).otherwise(fraction)


def _without_trailing_zeros(number: Column) -> Column:
    return F.regexp_replace(number.cast("string"), r"\.?0+$", "")


def columns_as_text(
    raw: DataFrame, logs: LogsSettings, wanted: Sequence[str], lists: Collection[str], keep_metadata: bool = False
) -> DataFrame:
    """Cast typed columns to text; no row is corrupt."""
    require(wanted, raw.columns, logs)
    require_once(raw.columns, f"{logs.path}: the schema")
    if keep_metadata:
        require_free_metadata(raw.columns, logs)
    columns = [
        _plain(name, raw.schema[name].dataType if name in raw.columns else NullType(), name in lists, logs)
        for name in wanted
    ]
    others = [name for name in (PARTITION, FILE) if name in raw.columns and name not in wanted]
    kept = [*others, METADATA] if keep_metadata else others
    return raw.select(*columns, *kept, F.lit(None).cast("string").alias(CORRUPT))


def _plain(name: str, type_: DataType, may_be_list: bool, logs: LogsSettings) -> Column:
    if isinstance(type_, ArrayType) and isinstance(type_.elementType, AtomicType) and may_be_list:
        element_type = type_.elementType
        return joined(F.transform(column(name), lambda element: as_text(element, element_type))).alias(name)
    if isinstance(type_, NullType):
        return F.lit(None).cast("string").alias(name)
    if not isinstance(type_, AtomicType):
        raise LogsError(
            f"{logs.path}: column {name} is {type_.simpleString()}; "
            f"allowed are plain values (text, numbers, dates){', and lists of them' if may_be_list else ''}"
        )
    text = as_text(column(name), type_)
    return (without_marks(text) if may_be_list else text).alias(name)


def require_free_metadata(names: Sequence[str], logs: LogsSettings) -> None:
    """Raise LogsError where a column of the logs hides the one in which Spark tells the file of a row."""
    if any(name.lower() == METADATA for name in names):
        raise LogsError(f"{logs.path}: column {METADATA} has the name of a column of Spark's own; rename it")
