"""The values of fields, as text, from the columns of an event."""

from pyspark.sql import Column
from pyspark.sql import functions as F

from afm_core.features import Categorical, Field, Hashed, Time
from pipelines.logs.columns import column
from pipelines.logs.values import part_of_time


def text_value(field: Field) -> Column:
    """The value of a field as it is in the vocabulary; of a hashed field the number of its bucket, from 0."""
    match field:
        case Categorical():
            return F.lower(column(field.source)) if field.ignore_case else column(field.source)
        case Time():
            return part_of_time(field)
        case Hashed():
            text = F.lower(column(field.source)) if field.ignore_case else column(field.source)
            return F.when(text.isNotNull(), F.pmod(F.xxhash64(text), F.lit(field.buckets))).cast("string")
    raise TypeError(f"{field.kind}: has no single value")
