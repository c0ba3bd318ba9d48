"""The rules that a row must keep, as those of `pipelines.logs.rules`: a night rejects a row that breaks one."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from afm_core.features import Categorical, Field, Numeric, Tags, Time
from afm_core.prediction.sources import Sources

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


def broken_rules(sources: Sources, fields: tuple[Field, ...], required: tuple[str, ...]) -> list[Broken | None]:
    """(N,) the first rule that each row breaks, or None.

    Args:
        fields: those that the sources were read for.
        required: sources that must have a value.
    """
    broken: list[Broken | None] = [None] * sources.n_rows
    for rule, column, breaks in _rules(sources, fields, required):
        for row in np.flatnonzero(breaks):
            broken[row] = broken[row] or Broken(rule, column)
    return broken


def _rules(sources: Sources, fields: tuple[Field, ...], required: tuple[str, ...]) -> Iterator[tuple[str, str, Flags]]:
    texts = sources.texts
    tags = {field.source: sources.tags[field.name] for field in fields if isinstance(field, Tags)}
    everything = {**texts, **{name: pc.binary_join(lists, "") for name, lists in tags.items()}}
    yield from _text_rules(everything, sources.n_rows)
    for name in required:
        yield "missing", name, _flags(pc.is_null(everything[name]))
    for field in fields:
        match field:
            case Categorical(type="integer"):
                text = texts[field.source]
                yield "not_an_integer", field.source, _flags(pc.invert(pc.match_substring_regex(text, _INTEGER)))
            case Numeric():
                given = texts[field.source].is_valid().to_numpy(zero_copy_only=False)
                is_number = ~np.isnan(sources.numbers(field.source))
                yield "not_a_number", field.source, given & ~is_number
                if field.missing == "reject":
                    yield "missing", field.source, ~given
            case Time():
                given = texts[field.source].is_valid().to_numpy(zero_copy_only=False)
                yield (
                    "not_a_timestamp",
                    field.source,
                    given & _flags(sources.times(field.source, field.format).is_null()),
                )


def _text_rules(texts: Mapping[str, pa.Array], n_rows: int) -> Iterator[tuple[str, str, Flags]]:
    """Hardly any row breaks them, so all columns are tested as one."""
    together = pa.concat_arrays(list(texts.values()))
    for rule, breaks in (
        ("not_utf8", pc.match_substring(together, _REPLACEMENT_CHARACTER)),
        ("too_long", pc.greater(pc.utf8_length(together), _MAX_LENGTH)),
        ("control_character", pc.match_substring_regex(together, _CONTROL)),
    ):
        if pc.any(breaks).as_py():
            flags = _flags(breaks)
            for at, name in enumerate(texts):
                yield rule, name, flags[at * n_rows : (at + 1) * n_rows]


def _flags(condition: pa.Array) -> Flags:
    without_nulls = condition.fill_null(False) if condition.null_count else condition
    flags: Flags = without_nulls.to_numpy(zero_copy_only=False)
    return flags
