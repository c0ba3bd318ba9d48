"""The rules that a row must keep, as those of `pipelines.logs.rules`: a night rejects a row that breaks one."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from afm_core.features import Categorical, Field, Numeric, Time
from afm_core.prediction.numbers import numbers_of
from afm_core.prediction.times import is_time

_MAX_LENGTH = 32_768
_CONTROL = r"[\x00-\x08\x0B\x0C\x0E-\x1F]"
_INTEGER = r"^-?[0-9]+$"
_REPLACEMENT_CHARACTER = "\ufffd"

Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Broken:
    """A broken rule."""

    rule: str
    column: str

    def __str__(self) -> str:
        return f"{self.rule} {self.column}"


def broken_rules(
    texts: Mapping[str, pa.Array], tags: Mapping[str, pa.Array], fields: tuple[Field, ...], required: tuple[str, ...]
) -> list[Broken | None]:
    """(N,) the first rule that each row breaks, or None.

    Args:
        texts: (N,) by source of the fields, what they read.
        tags: (N,) by column, the lists of tags.
        required: sources that must have a value.
    """
    n_rows = len(next(iter({**texts, **tags}.values())))
    broken: list[Broken | None] = [None] * n_rows
    for rule, column, breaks in _rules(texts, tags, fields, required):
        for row in np.flatnonzero(breaks):
            broken[row] = broken[row] or Broken(rule, column)
    return broken


def _rules(
    texts: Mapping[str, pa.Array], tags: Mapping[str, pa.Array], fields: tuple[Field, ...], required: tuple[str, ...]
) -> Iterator[tuple[str, str, Flags]]:
    joined = {name: pc.binary_join(lists, "") for name, lists in tags.items()}
    everything = {**texts, **joined}
    for name, text in everything.items():
        yield "not_utf8", name, _flags(pc.match_substring(text, _REPLACEMENT_CHARACTER))
    for name, text in everything.items():
        yield "too_long", name, _flags(pc.greater(pc.utf8_length(text), _MAX_LENGTH))
    for name, text in everything.items():
        yield "control_character", name, _flags(pc.match_substring_regex(text, _CONTROL))
    for name in required:
        yield "missing", name, _flags(pc.is_null(everything[name]))
    for field in fields:
        match field:
            case Categorical(type="integer"):
                text = texts[field.source]
                yield "not_an_integer", field.source, _flags(pc.invert(pc.match_substring_regex(text, _INTEGER)))
            case Numeric():
                given = texts[field.source].is_valid().to_numpy(zero_copy_only=False)
                is_number = ~np.isnan(numbers_of(texts[field.source]))
                yield "not_a_number", field.source, given & ~is_number
                if field.missing == "reject":
                    yield "missing", field.source, ~given
            case Time():
                given = texts[field.source].is_valid().to_numpy(zero_copy_only=False)
                yield "not_a_timestamp", field.source, given & ~is_time(texts[field.source], field.format)


def _flags(condition: pa.Array) -> Flags:
    flags: Flags = condition.fill_null(False).to_numpy(zero_copy_only=False)
    return flags
