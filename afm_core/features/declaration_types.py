"""Types of what a field declaration says."""

import re
from string import ascii_letters
from typing import Annotated

from pydantic import AfterValidator
from pydantic import Field as Constrained

FieldName = Annotated[str, Constrained(min_length=1, pattern=r"^[A-Za-z][A-Za-z0-9_]*$")]
"""Petastorm reads no column that begins with an underscore."""
_EPOCHS = ("epoch_s", "epoch_ms", "epoch_us")
_PATTERN_LETTERS = "yMdHhmsSaXxzV"


def _time_format(text: str) -> str:
    letters = set(re.sub("'[^']*'", "", text)) & set(ascii_letters)
    if text not in _EPOCHS and not (letters and letters <= set(_PATTERN_LETTERS)):
        raise ValueError(
            f"allowed are {', '.join(_EPOCHS)}, and patterns of the letters {_PATTERN_LETTERS}, others quoted, as in "
            "yyyy-MM-dd'T'HH:mm"
        )
    return text


TimeFormat = Annotated[str, AfterValidator(_time_format)]
"""How a column tells the time."""
Column = Annotated[str, Constrained(min_length=1)]
Columns = Column | Annotated[tuple[Column, ...], Constrained(min_length=2)]


def _regular_expression(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"no regular expression: {error}") from error
    return text


RegularExpression = Annotated[str, Constrained(min_length=1), AfterValidator(_regular_expression)]


def joined_name(columns: "str | tuple[str, ...]") -> str:
    """The name of a column, or of the one that holds the values of several, with blanks between them."""
    return columns if isinstance(columns, str) else " ".join(columns)


Share = Annotated[float, Constrained(ge=0.0, le=1.0)]
Count = Annotated[int, Constrained(ge=1)]
Buckets = Annotated[int, Constrained(ge=2, le=100_000_000)]
