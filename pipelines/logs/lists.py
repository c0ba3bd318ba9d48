"""Lists as text: each element after the mark `LIST`, in whatever format and notation the logs have them."""

from pyspark.sql import Column
from pyspark.sql import functions as F

from pipelines.logs.columns import LIST, without_marks


def joined(elements: Column) -> Column:
    """A list of text as one text, each element after `LIST`; empty elements are left out."""
    present = F.filter(elements, lambda element: F.trim(element) != "")
    return F.concat_ws("", F.transform(present, lambda element: F.concat(F.lit(LIST), without_marks(element))))


def marked(text: Column) -> Column:
    """The text of a list, `[27, 9]` or `["a", 'b']` as JSON and Python write it, as `joined` writes the list.

    Other text is returned as it is. So tags, and the key of their event, are the same whether the logs hold lists or
    the text of lists.
    """
    elements = F.from_json(F.when(text.startswith("[") & text.endswith("]"), text), "array<string>")
    as_list = joined(elements)
    return F.when(elements.isNull(), text).when(as_list != "", as_list)
