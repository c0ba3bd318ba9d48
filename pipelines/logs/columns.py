"""Columns of text that come out of every format: their names, and what is written between and beside them."""

from collections.abc import Sequence

from pyspark.sql import Column
from pyspark.sql import functions as F
from pyspark.sql.types import StringType, StructField, StructType

from afm_core.errors import LogsError
from afm_core.settings.data import LogsSettings

CORRUPT = "_corrupt"
"""The raw line where the reader could not parse it, else null."""
FILE = "_file"
"""Where the row came from."""
LIST = "\u001f"
"""Before each element of a list that became text: elements may hold any separator."""
_FOREIGN = "\u001e"  # what a log's own U+001F becomes in tags, so that it cannot pass for ours; both are rejected
_LONGEST_LIST = 400  # characters of a message


def column(name: str) -> Column:
    """A column by its exact name, which may hold dots."""
    return F.col(quoted(name))


def quoted(name: str) -> str:
    """A name as Spark's SQL writes it."""
    return f"`{name.replace('`', '``')}`"


def text_schema(names: list[str]) -> StructType:
    """The columns `names` and `CORRUPT`."""
    return StructType([StructField(name, StringType()) for name in [*names, CORRUPT]])


def without_marks(text: Column) -> Column:
    """Text of a log in which nothing looks like `LIST`."""
    return F.translate(text, LIST, _FOREIGN)


def require(wanted: Sequence[str], available: Sequence[str], logs: LogsSettings) -> None:
    """Raise LogsError unless all wanted columns are available."""
    missing = [name for name in wanted if name not in available]
    if missing:
        listed = _listed(available) if available else "none: the file is empty"
        raise LogsError(
            f"{logs.path}: column {', '.join(missing)} missing; found: {listed}; name the log's own columns in fields"
        )


def _listed(names: Sequence[str]) -> str:
    """For a message: what is read as a header may be anything, such as the bytes of an image."""
    text = "".join(character if character.isprintable() else "\ufffd" for character in ", ".join(names))
    return text if len(text) <= _LONGEST_LIST else f"{text[:_LONGEST_LIST]} ... ({len(names):,} in all)"


def require_once(names: Sequence[str], where: str) -> None:
    """Raise LogsError where a name is there twice; Spark tells them apart by nothing, not even their case."""
    folded = [name.lower() for name in names]
    twice = list(dict.fromkeys(name for name in names if folded.count(name.lower()) > 1))
    if twice:
        raise LogsError(f"{where} names {_listed(twice)} more than once; rename the columns")
