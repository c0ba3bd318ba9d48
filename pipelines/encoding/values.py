"""What of a log's text tells one feature from another."""

from pyspark.sql import Column
from pyspark.sql import functions as F

from afm_core.features import Field, FieldIds


def field_value(field: Field | FieldIds) -> Column:
    """The text of a field as its vocabulary holds it."""
    text = F.col(field.name)
    return F.lower(text) if field.ignore_case else text
