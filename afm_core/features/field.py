"""The declarations of the fields: what becomes of a column of the logs.

A field fills one column of a batch, tags fill several. `x_i` is 1 unless said otherwise.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Tag
from pydantic import Field as Constrained

FieldName = Annotated[str, Constrained(min_length=1, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
_Column = Annotated[str, Constrained(min_length=1)]
_Share = Annotated[float, Constrained(ge=0.0, le=1.0)]
_Count = Annotated[int, Constrained(ge=1)]
_Buckets = Annotated[int, Constrained(ge=2, le=100_000_000)]


class _Declaration(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    name: FieldName
    """Of the field, and of its columns in the dataset."""
    max_missing: _Share | None = None
    """A larger share of logs without a value stops the preparation."""
    max_unknown: _Share | None = None
    """A larger share of logs whose value has no id of its own stops the preparation."""

    @property
    def sources(self) -> tuple[str, ...]:
        """Columns of the logs that it reads."""
        return ()

    @property
    def width(self) -> int:
        """Columns of a batch that it fills."""
        return 1

    @property
    def carries_x(self) -> bool:
        """Whether its x_i is another number than 1."""
        return False


class _OfColumn(_Declaration):
    column: _Column | None = None
    """Of the logs; not set: that of the field's name."""

    @property
    def source(self) -> str:
        """Column of the logs."""
        return self.column or self.name

    @property
    def sources(self) -> tuple[str, ...]:
        """Columns of the logs that it reads."""
        return (self.source,)


class Categorical(_OfColumn):
    """Each distinct value is a feature."""

    kind: Literal["categorical"] = "categorical"
    type: Literal["string", "integer"] = "string"
    """What a value must look like; a row whose value does not is rejected."""
    ignore_case: bool = False
    """Values that differ in case only are one feature, kept in lower case."""
    min_count: _Count = 1
    """Values that occur less often in the logs share the field's unknown id."""
    max_size: _Count | None = None
    """Keep only so many values, the most frequent."""


class Hashed(_OfColumn):
    """Values are hashed into buckets; nothing is fitted, nothing is unknown but a missing value."""

    kind: Literal["hashed"]
    buckets: _Buckets
    """How many features there are."""
    ignore_case: bool = False
    """Values that differ in case only are one."""


class Numeric(_OfColumn):
    """One feature whose x_i is the scaled number; with `quantiles`, a feature a bucket."""

    kind: Literal["numeric"]
    scale: Literal["standardise", "log1p", "quantiles"] = "standardise"
    """`standardise` (x - mean) / deviation, `log1p` sign(x) ln(1 + |x|), or `quantiles`: equally frequent buckets."""
    buckets: Annotated[int, Constrained(ge=2, le=4096)] = 16
    """How many, with `quantiles`; equal edges are merged."""
    missing: Literal["unknown", "mean", "reject"] = "unknown"
    """A row without a number gets the field's unknown id with x_i = 1, the mean, or is rejected."""

    @property
    def carries_x(self) -> bool:
        """Whether its x_i is another number than 1."""
        return self.scale != "quantiles"


class Tags(_OfColumn):
    """Several values a row, a feature each, with x_i = 1 / number of the row's tags."""

    kind: Literal["tags"]
    separator: Annotated[str, Constrained(min_length=1, max_length=1)] = "|"
    """Between the tags where the column is text; lists need none."""
    length: Annotated[int, Constrained(ge=1, le=256)] = 8
    """Tags that a row keeps, the most frequent of the logs first."""
    ignore_case: bool = False
    """Values that differ in case only are one feature, kept in lower case."""
    min_count: _Count = 1
    """Values that occur less often in the logs share the field's unknown id."""
    max_size: _Count | None = None
    """Keep only so many values, the most frequent."""

    @property
    def width(self) -> int:
        """Columns of a batch that it fills."""
        return self.length

    @property
    def carries_x(self) -> bool:
        """Whether its x_i is another number than 1."""
        return True


class Time(_Declaration):
    """A part of a timestamp; each of its values is a feature."""

    kind: Literal["time"]
    of: _Column
    """Column of the logs: ISO 8601, or seconds since 1970."""
    part: Literal["hour", "weekday", "weekend", "month"]
    """`weekday` is 1 (Monday) to 7, `weekend` true or false."""
    timezone: str = "UTC"
    """Whose clock is read."""

    @property
    def sources(self) -> tuple[str, ...]:
        """Columns of the logs that it reads."""
        return (self.of,)


class Crossed(_Declaration):
    """Combinations of two fields, hashed into buckets; a row that lacks one of the two gets the unknown id."""

    kind: Literal["crossed"]
    of: tuple[FieldName, FieldName]
    """Two other fields with one id a row."""
    buckets: _Buckets
    """How many features there are."""


class Frequency(_Declaration):
    """How often a value, or a combination of values, occurs among the positives of the training split.

    A training row does not count itself. The counts are kept beside the feature map.
    """

    kind: Literal["frequency"]
    of: Annotated[tuple[FieldName, ...], Constrained(min_length=1)]
    """Other fields with one id a row."""
    scale: Literal["log1p", "buckets"] = "log1p"
    """`log1p`: one feature with x_i = ln(1 + n); `buckets`: a feature for each half power of two, x_i = 1."""

    @property
    def carries_x(self) -> bool:
        """Whether its x_i is another number than 1."""
        return self.scale == "log1p"


class CoOccurrence(_Declaration):
    """How well an item goes with what its user has had otherwise: item-based collaborative filtering as a feature.

    Of 1,000 users of another item j of this user, so many have this one, i (the conditional probability of Deshpande
    and Karypis, TOIS 2004, section 4.2): 1000 n_ij / (n_j + 5), the 5 so that j with few users says little. Users and
    their items are the positives of the training split; a training row does not count itself.
    """

    kind: Literal["co_occurrence"]
    of: tuple[FieldName, FieldName]
    """The field of the users and that of the items: two other fields with one id a row."""
    take: Literal["greatest", "sum"] = "greatest"
    """Over the user's other items."""
    scale: Literal["log1p", "buckets"] = "buckets"
    """As for a count."""

    @property
    def carries_x(self) -> bool:
        """Whether its x_i is another number than 1."""
        return self.scale == "log1p"


Field = Categorical | Hashed | Numeric | Tags | Time | Crossed | Frequency | CoOccurrence
SINGLE_ID = (Categorical, Hashed, Time)
"""Kinds with one id a row that says which value it is: these can be crossed and counted."""


_KINDS = ("categorical", "hashed", "numeric", "tags", "time", "crossed", "frequency", "co_occurrence")


def _kind(value: Any) -> Any:
    return value.get("kind", "categorical") if isinstance(value, dict) else getattr(value, "kind", None)


def _from_short_form(value: Any) -> Any:
    return {"name": value} if isinstance(value, str) else value


FieldOrName = Annotated[
    Annotated[Categorical, Tag("categorical")]
    | Annotated[Hashed, Tag("hashed")]
    | Annotated[Numeric, Tag("numeric")]
    | Annotated[Tags, Tag("tags")]
    | Annotated[Time, Tag("time")]
    | Annotated[Crossed, Tag("crossed")]
    | Annotated[Frequency, Tag("frequency")]
    | Annotated[CoOccurrence, Tag("co_occurrence")],
    Discriminator(_kind, custom_error_type="kind", custom_error_message=f"kind must be one of {', '.join(_KINDS)}"),
    BeforeValidator(_from_short_form),
]
"""A field in a settings file: a mapping, or just the name of a categorical one."""
