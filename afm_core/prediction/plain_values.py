"""Typed values as the text that a CSV of the same rows would hold, as `pipelines.logs.typed_text` writes them."""

import re
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from afm_core.errors import RowsError
from afm_core.prediction.distinct import by_distinct_value

_EXACT_WHOLE, _DIGITS, _LEAST = 9.0e18, 1e37, 1e-13
_TRAILING_ZEROS = re.compile(r"\.?0+$")
_MICROSECONDS = pa.timestamp("us")


def text_of(values: pa.Array, name: str) -> pa.Array:
    """Plain values as text: whole numbers without a decimal point, fractions without trailing zeros; NaN is null.

    Raises:
        RowsError: the column `name` holds no plain values.
    """
    type_ = values.type
    if type_ == pa.string():
        return values
    if pa.types.is_dictionary(type_):
        return text_of(values.dictionary_decode(), name)
    if pa.types.is_null(type_):
        return values.cast(pa.string())
    if pa.types.is_floating(type_):
        return _text_of_floats(values.cast(pa.float32()) if type_ == pa.float16() else values)
    if pa.types.is_decimal(type_):
        return by_distinct_value(values, _text_of_decimal, pa.string())
    if pa.types.is_timestamp(type_):
        return _text_of_times(values)
    if pa.types.is_integer(type_) or pa.types.is_boolean(type_) or pa.types.is_date(type_):
        return values.cast(pa.string())
    try:
        if "string" in str(type_) or pa.types.is_large_string(type_) or pa.types.is_binary(type_):
            return values.cast(pa.string())
    except pa.ArrowInvalid as error:
        raise RowsError(f"column {name}: not UTF-8; decode it first") from error
    raise RowsError(f"column {name} is {type_}; allowed are plain values (text, numbers, dates)")


def _text_of_floats(values: pa.Array) -> pa.Array:
    """Those of float32 are written with the digits of a float32."""
    numbers = values.to_numpy(zero_copy_only=False)
    with np.errstate(invalid="ignore"):
        is_whole = (np.abs(numbers) < _EXACT_WHOLE) & (numbers == np.rint(numbers))
    whole = pa.array(np.where(is_whole, numbers, 0).astype(np.int64), mask=~is_whole).cast(pa.string())
    others = pc.if_else(pa.array(is_whole | np.isnan(numbers)), pa.scalar(None, values.type), values)
    if others.null_count == len(others):
        return whole
    write = _text_of_float32 if values.type == pa.float32() else _text_of_double
    return pc.coalesce(whole, by_distinct_value(others, write, pa.string()))


def _text_of_float32(number: float) -> str:
    return _text_of(number, _scientific(np.float32(number)))


def _text_of_double(number: float) -> str:
    return _text_of(number, _scientific(number))


def _scientific(number: float | np.float32) -> str:
    """The shortest digits that read back to the same number."""
    return np.format_float_scientific(number, unique=True, trim="0")


def _text_of(number: float, scientific: str) -> str:
    if not (_LEAST <= abs(number) < _DIGITS):
        return _in_java(number, scientific)
    return str(int(number)) if number == np.rint(number) else f"{Decimal(scientific).normalize():f}"


def text_in_java(number: float) -> str:
    """A double as Java writes it: from 1e-3 to 1e7 without an exponent."""
    return repr(number) if 1e-3 <= abs(number) < 1e7 or not number else _in_java(number, _scientific(number))


def _in_java(number: float, scientific: str) -> str:
    if not np.isfinite(number):
        return str(number).replace("inf", "Infinity").replace("nan", "NaN")
    digits, _, exponent = scientific.partition("e")
    return f"{digits}E{int(exponent)}"


def _text_of_decimal(number: Decimal) -> str:
    text = f"{number:f}"
    return _TRAILING_ZEROS.sub("", text) if "." in text else text


def _text_of_times(values: pa.Array) -> pa.Array:
    """As Spark writes them in UTC; fractions below a microsecond are cut off."""
    in_utc = values.view(pa.timestamp(values.type.unit))
    text = in_utc.cast(_MICROSECONDS, safe=False).cast(pa.string())
    return pc.replace_substring_regex(text, r"\.0+$|(\.[0-9]*[1-9])0+$", r"\1")
