"""What each field reads of a row: a column, several joined with blanks, or the part that its `extract` matches."""

import re
from collections.abc import Iterable

import pyarrow as pa
import pyarrow.compute as pc

from afm_core.features import Categorical, Field, Hashed, Numeric, Tags
from afm_core.features.field import columns_read
from afm_core.prediction.distinct import by_distinct_value
from afm_core.prediction.tables import RawColumns


def columns_of(fields: Iterable[Field]) -> tuple[str, ...]:
    """The columns that fields read, each once."""
    return tuple(dict.fromkeys(name for field in fields for name in columns_read(field)))


class Sources:
    """The text that each field reads."""

    def __init__(self, columns: RawColumns, fields: Iterable[Field]) -> None:
        """Read the columns; fields of tags are left out.

        Raises:
            RowsError: a column holds no plain values.
        """
        texts: dict[str, pa.Array] = {}
        for field in fields:
            if not isinstance(field, Tags):
                for source in field.sources:
                    if source not in texts:
                        texts[source] = _text(columns, field)
        self.texts = texts

    def of(self, field: Field) -> pa.Array:
        """(N,) the text that a field reads."""
        return self.texts[field.sources[0]]


def _text(columns: RawColumns, field: Field) -> pa.Array:
    parts = [columns.text(name) for name in columns_read(field)]
    text = pc.binary_join_element_wise(*parts, " ") if len(parts) > 1 else parts[0]
    if isinstance(field, Categorical | Hashed | Numeric) and field.extract:
        return columns.cleaned(_extracted(text, field.extract))
    return columns.cleaned(text) if len(parts) > 1 else text


def _extracted(text: pa.Array, pattern: str) -> pa.Array:
    """The first group, or all of what the pattern matches; of ASCII, as in Java, `\\d` and `\\w` know nothing else."""
    expression = re.compile(pattern, re.ASCII)
    group = min(1, expression.groups)

    def part(value: str) -> str:
        match = expression.search(value)
        return (match[group] or "") if match else ""

    return by_distinct_value(text, part, pa.string())
