"""Lists as text: each element after the mark `LIST`, in whatever format and notation the logs have them."""

from pyspark.sql import Column
from pyspark.sql import functions as F

from pipelines.logs.columns import LIST, without_marks


def joined(elements: Column) -> Column:
    """A list of text as one text, each element after `LIST`; empty elements are left out."""
    present = F.filter(elements, lambda element: F.trim(element) != "")
    return F.concat_ws("", F.transform(present, lambda element: F.concat(F.lit(LIST), without_marks(element))))


def list_or_text(text: Column) -> Column:
    """Text such as `[27, 9]` or `["a", 'b']`, as JSON and Python write a list, as `joined` writes it.

    So an event is the same, and has the same key, whether its tags are a list or the text of one. Other text is
    returned without marks.
    """
    trimmed = F.trim(text)
    elements = F.from_json(F.when(trimmed.startswith("[") & trimmed.endswith("]"), trimmed), "array<string>")
    return F.when(elements.isNotNull(), joined(elements)).otherwise(without_marks(text))
