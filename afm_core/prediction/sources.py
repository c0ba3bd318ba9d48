"""What each field reads of a row: a column, several joined with blanks, or the part that its `extract` matches."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from afm_core.features import Categorical, Field, Hashed, Numeric, Tags
from afm_core.features.field import columns_read
from afm_core.prediction.distinct import by_distinct_value
from afm_core.prediction.numbers import numbers_of
from afm_core.prediction.tables import RawColumns
from afm_core.prediction.tags import tag_lists
from afm_core.prediction.times import timestamps


class Sources:
    """What each field reads of N rows: text, or for tags lists of text. Numbers and times are parsed once."""

    def __init__(self, n_rows: int, texts: Mapping[str, pa.Array], tags: Mapping[str, pa.Array]) -> None:
        """Keep them.

        Args:
            texts: (N,) by source of the fields that have one value per row.
            tags: (N,) by name of the fields of tags, the distinct tags of each row.
        """
        self.n_rows, self.texts, self.tags = n_rows, texts, tags
        self._numbers: dict[str, NDArray[np.float64]] = {}
        self._times: dict[tuple[str, str | None], pa.Array] = {}

    def numbers(self, source: str) -> NDArray[np.float64]:
        """(N,) a text as numbers, NaN where it is none."""
        if source not in self._numbers:
            self._numbers[source] = numbers_of(self.texts[source])
        return self._numbers[source]

    def times(self, source: str, format: str | None) -> pa.Array:
        """(N,) a text as timestamps, null where it is none."""
        if (source, format) not in self._times:
            self._times[source, format] = timestamps(self.texts[source], format)
        return self._times[source, format]


class SourceReader:
    """Reads what fields read."""

    def __init__(self, fields: Sequence[Field]) -> None:
        """Work out once which columns that are."""
        self._tags = [field for field in fields if isinstance(field, Tags)]
        self._single = [_Single.of(field) for field in fields if field.sources and not isinstance(field, Tags)]
        self._plain = tuple(dict.fromkeys(name for each in self._single for name in each.columns))
        self._of_tags = tuple(dict.fromkeys(field.source for field in self._tags))
        self.columns = tuple(dict.fromkeys(name for field in fields for name in columns_read(field)))
        """All columns, each once."""

    def read(self, columns: RawColumns) -> Sources:
        """What the fields read of some rows.

        Raises:
            RowsError: a column holds no plain values, or for tags no lists of them.
        """
        written = [name for name in self._of_tags if name not in self._plain and not columns.is_list(name)]
        texts = columns.texts([*self._plain, *written])
        tags = {field.name: tag_lists(columns, texts.get(field.source), field) for field in self._tags}
        return Sources(columns.n_rows, {each.source: each.text(columns, texts) for each in self._single}, tags)


@dataclass(frozen=True)
class _Single:
    source: str
    columns: tuple[str, ...]
    """Joined with blanks."""
    pattern: str | None

    @classmethod
    def of(cls, field: Field) -> Self:
        pattern = field.extract if isinstance(field, Categorical | Hashed | Numeric) else None
        return cls(field.sources[0], columns_read(field), pattern)

    def text(self, columns: RawColumns, texts: Mapping[str, pa.Array]) -> pa.Array:
        parts = [texts[name] for name in self.columns]
        text = pc.binary_join_element_wise(*parts, " ") if len(parts) > 1 else parts[0]
        if self.pattern:
            text = _extracted(text, self.pattern)
        return columns.cleaned(text) if self.pattern or len(parts) > 1 else text


def _extracted(text: pa.Array, pattern: str) -> pa.Array:
    """The first group, or all of what the pattern matches; of ASCII, as in Java, `\\d` and `\\w` know nothing else."""
    expression = re.compile(pattern, re.ASCII)
    group = min(1, expression.groups)

    def part(value: str) -> str:
        match = expression.search(value)
        return (match[group] or "") if match else ""

    return by_distinct_value(text, part, pa.string())
