"""Field declarations: what becomes of a column of the logs.

A field fills one column of a batch; tags fill several. Its value x_i is 1 unless its declaration says otherwise.
"""

from typing import Annotated, Literal

from pydantic import Field as Constrained

from afm_core.features.declaration import Declaration
from afm_core.features.declaration_types import (
    Buckets,
    Column,
    Columns,
    Count,
    RegularExpression,
    TimeFormat,
    joined_name,
)
from afm_core.features.derived_field import Derived


class _OfColumn(Declaration):
    column: Column | None = None
    """Column of the logs. Not set: the column with the field's name."""

    @property
    def source(self) -> str:
        """Column of the logs."""
        return self.column or self.name

    @property
    def sources(self) -> tuple[str, ...]:
        """Columns of the logs that the field reads."""
        return (self.source,)


class _OfPart(_OfColumn):
    extract: RegularExpression | None = None
    """Regular expression of the part of the column that is the value: its first group, or without groups all of what it
    matches. Where it matches nothing, the value is missing."""

    @property
    def source(self) -> str:
        """Column of the logs; with `extract` the one that the reader adds, which has the name of the field."""
        return self.name if self.extract else super().source


class Categorical(_OfPart):
    """Each distinct value is a feature."""

    kind: Literal["categorical"] = "categorical"
    type: Literal["string", "integer"] = "string"
    """Type of the values; an event with a value of another type is rejected."""
    ignore_case: bool = False
    """Whether values that differ only in case are one feature, kept in lower case."""
    min_count: Count = 1
    """Minimum number of events for a value to have an id of its own; rarer values share the field's unknown id."""
    max_size: Count | None = None
    """Maximum number of values with an id of their own, the most frequent ones."""


class Hashed(_OfPart):
    """Values are hashed into buckets. Nothing is fitted, and only a missing value is unknown."""

    kind: Literal["hashed"]
    buckets: Buckets
    """Number of buckets, each of which is a feature."""
    ignore_case: bool = False
    """Whether values that differ only in case are one."""


class Numeric(_OfPart):
    """One feature whose x_i is the scaled number; with `scale: quantiles`, one feature per bucket."""

    kind: Literal["numeric"]
    scale: Literal["standardise", "log1p", "quantiles"] = "standardise"
    """Scaling: `standardise`, (x - mean) / standard deviation; `log1p`, sign(x) ln(1 + |x|); `quantiles`, buckets of
    equal frequency."""
    buckets: Annotated[int, Constrained(ge=2, le=4096)] = 16
    """Number of buckets for `scale: quantiles`; buckets with equal edges are merged."""
    missing: Literal["unknown", "mean", "reject"] = "unknown"
    """Treatment of an event without a number: `unknown`, the field's unknown id with x_i = 1; `mean`, the mean of the
    numbers; `reject`."""

    @property
    def carries_x(self) -> bool:
        """Whether its x_i may differ from 1."""
        return self.scale != "quantiles"


class Tags(_OfColumn):
    """Several values per event, each of them a feature, with x_i = 1 / number of the event's tags."""

    kind: Literal["tags"]
    separator: Annotated[str, Constrained(min_length=1, max_length=1)] = "|"
    """Character between the tags of a text column; list columns need none."""
    length: Annotated[int, Constrained(ge=1, le=256)] = 8
    """Maximum number of tags kept per event, those that are most frequent in the logs."""
    ignore_case: bool = False
    """Whether values that differ only in case are one feature, kept in lower case."""
    min_count: Count = 1
    """Minimum number of events for a value to have an id of its own; rarer values share the field's unknown id."""
    max_size: Count | None = None
    """Maximum number of values with an id of their own, the most frequent ones."""

    @property
    def width(self) -> int:
        """Number of columns of a batch that the field fills."""
        return self.length

    @property
    def carries_x(self) -> bool:
        """Whether its x_i may differ from 1."""
        return True


class Time(Declaration):
    """A part of a timestamp, such as the hour; each of its values is a feature."""

    kind: Literal["time"]
    of: Columns
    """Column with the timestamp. Several columns are joined with blanks, so that `[day, month, year]` has a `format` of
    `d M yyyy`."""
    format: TimeFormat | None = None
    """Format of the timestamp: `epoch_s`, `epoch_ms` or `epoch_us`, seconds, milliseconds or microseconds since 1970; a
    pattern of Spark, such as `yyMMddHH` or `dd/MM/yyyy HH:mm`. Not set: ISO 8601, or seconds from 1990 to 2100."""
    part: Literal["hour", "weekday", "weekend", "month"]
    """Part of the timestamp: `hour` 0 to 23, `weekday` 1 (Monday) to 7, `weekend` true or false, `month` 1 to 12."""
    timezone: str = "UTC"
    """Time zone in which the part is read."""

    @property
    def sources(self) -> tuple[str, ...]:
        """Columns of the logs that the field reads."""
        return (self.source,)

    @property
    def source(self) -> str:
        """Column of the logs; of several, the one that the reader adds."""
        return joined_name(self.of)


def columns_read(field: "Field") -> tuple[str, ...]:
    """Columns of the logs from which the value of a field is made."""
    if isinstance(field, Categorical | Hashed | Numeric) and field.extract:
        return (field.column or field.name,)
    if isinstance(field, Time):
        return (field.of,) if isinstance(field.of, str) else field.of
    return field.sources


Field = Categorical | Hashed | Numeric | Tags | Time | Derived


def has_vocabulary(field: Field) -> bool:
    """Whether the features of a field are values that occur in the logs."""
    return isinstance(field, Categorical | Time | Tags)


SINGLE_ID = (Categorical, Hashed, Time)
"""Kinds with one id per event that tells which value it is: these can be crossed and counted."""
