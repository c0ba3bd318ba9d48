"""What differs between the versions of Spark that preparation and scoring run on: 3.5, and 4.0 or newer.

Everything else is the same code. Whoever drops Spark 3.5 removes this module and calls Spark's own functions.
"""

from collections.abc import Mapping

import pyspark
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import DataType, StructType, _parse_datatype_string

IS_SPARK_3 = pyspark.__version__.startswith("3.")

SETTINGS = {"spark.sql.ansi.enabled": "true", "spark.sql.legacy.timeParserPolicy": "CORRECTED"}
"""Settings that give both versions the same casts, overflows and patterns of time: Spark 4's defaults."""

FILE_IN_ERROR = r"(?:reading file|footer for file:|CSV file:) (\S+?)\.?\s"
"""Where an error of Spark names the file that could not be read; Spark 3.5 does so in fewer errors than Spark 4."""

_NUMBER = r"^\s*[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?\s*$"
_QUOTED = r'^"(NaN|[+-]?INF|[+-]?Infinity)"$'
_STRICT = {"allowSingleQuotes": "false"}  # as in the parser of Spark 4's try_parse_json


def try_cast(text: Column, type_: str) -> Column:
    """A text as `float`, `double` or `timestamp`, null where it is not one.

    Spark 3.5 reads numbers in decimal notation only, Spark 4 also texts such as NaN and 1.5d.
    """
    if not IS_SPARK_3:
        return text.try_cast(type_)
    return F.try_to_timestamp(text) if type_ == "timestamp" else F.when(text.rlike(_NUMBER), text.cast(type_))


def is_valid_utf8(text: Column) -> Column:
    """Whether the bytes of a text are UTF-8; null for null."""
    if not IS_SPARK_3:
        return F.is_valid_utf8(text)
    # Spark 3.5 encodes a text by decoding its bytes, with a replacement character for bad ones.
    return F.encode(text, "UTF-8") == text.cast("binary")


def is_json(text: Column) -> Column:
    """Whether a text that begins with a bracket is a JSON object or list; false for null."""
    if not IS_SPARK_3:
        return F.try_parse_json(text).isNotNull()
    as_object, as_list = (F.from_json(text, type_, _STRICT) for type_ in ("map<string,string>", "array<string>"))
    return as_object.isNotNull() | as_list.isNotNull()


def with_bare_numbers(read: DataFrame, texts: Mapping[str, Column]) -> DataFrame:
    """JSON that was read as text, with NaN and Infinity as they are written: Spark 3.5 puts quotes around them."""
    if not IS_SPARK_3:
        return read
    bare = {name: F.when(text.rlike(_QUOTED), F.translate(text, '"', "")) for name, text in texts.items()}
    return read.withColumns({name: F.coalesce(bare[name], text) for name, text in texts.items()})


def parse_struct(text: str) -> StructType:
    """The type that a text such as `STRUCT<a: INT>` describes."""
    type_ = _parse_datatype_string(text) if IS_SPARK_3 else DataType.fromDDL(text)
    assert isinstance(type_, StructType)
    return type_
