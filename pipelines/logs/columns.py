"""The text columns that every format is read into: names, marks of list elements, and checks of the columns."""

from collections.abc import Sequence

from pyspark.sql import Column
from pyspark.sql import functions as F
from pyspark.sql.types import StringType, StructField, StructType

from afm_core.errors import LogsError
from afm_core.settings.data import LogsSettings

OURS = "_ "
"""How the columns that we add begin, so that those of the logs may have any other names; `LogColumns` refuses it."""
CORRUPT = f"{OURS}corrupt"
"""Column with the raw line if it could not be parsed, else null."""
FILE = f"{OURS}file"
"""Column with the file of the row."""
LIST = "\u001f"
"""Mark before each element of a list that was read as text, because elements may contain any separator."""
_REPLACED_MARK = "\u001e"  # replaces a U+001F in the logs, which must not pass for our mark; both are rejected
_LONGEST_LIST = 400  # characters of a message


def column(name: str) -> Column:
    """A column by its exact name, which may hold dots."""
    return F.col(quoted(name))


def quoted(name: str) -> str:
    """A name in backquotes, for Spark's SQL."""
    return f"`{name.replace('`', '``')}`"


def text_schema(names: list[str]) -> StructType:
    """The schema of the columns `names` and `CORRUPT`, all of them text."""
    return StructType([StructField(name, StringType()) for name in [*names, CORRUPT]])


def without_marks(text: Column) -> Column:
    """Text in which no character equals `LIST`."""
    return F.translate(text, LIST, _REPLACED_MARK)


def cleaned(text: Column, missing: Sequence[str]) -> Column:
    """Text without leading and trailing blanks; null for empty text and the marks of missing values."""
    trimmed = F.trim(text)
    return F.when(~trimmed.isin("", *missing), trimmed)


def require(wanted: Sequence[str], available: Sequence[str], logs: LogsSettings) -> None:
    """Raise LogsError unless all wanted columns are available, or may be missing."""
    missing = [name for name in wanted if name not in available and name not in logs.optional]
    if missing:
        found = listed(available) if available else "none: the file is empty"
        raise LogsError(
            f"{logs.path}: column {', '.join(missing)} missing; found: {found}; name columns of the logs in fields"
        )


def listed(names: Sequence[str]) -> str:
    """Names for a message, made printable: a header may be anything, such as the bytes of an image."""
    text = "".join(character if character.isprintable() else "\ufffd" for character in ", ".join(names))
    return text if len(text) <= _LONGEST_LIST else f"{text[:_LONGEST_LIST]} ... ({len(names):,} in all)"


def require_once(names: Sequence[str], where: str) -> None:
    """Raise LogsError if a name occurs twice; Spark does not distinguish names by case."""
    folded = [name.lower() for name in names]
    twice = list(dict.fromkeys(name for name in names if folded.count(name.lower()) > 1))
    if twice:
        raise LogsError(f"{where} names {listed(twice)} more than once; rename the columns")
