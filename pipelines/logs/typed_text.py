"""Typed columns as the text that a CSV of the same rows would hold.

Spark's own casts write a number such as 10000002.0 as 1.0000002E7, which equals no value of any other file.
"""

from pyspark.sql import Column
from pyspark.sql import functions as F
from pyspark.sql.types import DataType, DecimalType, DoubleType, FloatType

_WHOLE = 9.0e18  # below this size a whole number is an exact bigint
_DIGITS = 1e37  # below this size a whole number is an exact decimal of 38 digits
_PLAIN_FROM = 1e7  # where Java begins to write numbers with an exponent


def as_text(value: Column, type_: DataType) -> Column:
    """A plain value as text.

    A whole number has no decimal point, whatever its type: floats that pandas made of integers are these integers,
    exactly. A fraction has no trailing zeros and, above 0.001, no exponent. NaN is a missing value, as in pandas.
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
    fraction = F.when(size < _PLAIN_FROM, text).otherwise(_without_trailing_zeros(text.cast("decimal(38,12)")))
    return F.when(F.isnan(value), None).when(size >= _DIGITS, text).when(is_whole, whole).otherwise(fraction)


def _without_trailing_zeros(number: Column) -> Column:
    return F.regexp_replace(number.cast("string"), r"\.?0+$", "")
