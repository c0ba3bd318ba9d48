"""Declarations of fields that are derived from the ids of other fields."""

from typing import Annotated, Literal

from pydantic import Field as Constrained

from afm_core.features.declaration import Declaration
from afm_core.features.declaration_types import Buckets, FieldName


class Crossed(Declaration):
    """Combinations of two fields, hashed into buckets; an event that lacks one of them gets the unknown id."""

    kind: Literal["crossed"]
    of: tuple[FieldName, FieldName]
    """The two fields that are combined; each must have one id per event."""
    buckets: Buckets
    """Number of buckets, each of which is a feature."""


class Frequency(Declaration):
    """Frequency encoding: how often a value, or a combination of values, occurs in the training split.

    A training instance does not count itself. The counts are stored beside the feature map.
    """

    kind: Literal["frequency"]
    of: Annotated[tuple[FieldName, ...], Constrained(min_length=1)]
    """The fields whose values are counted together; each must have one id per event."""
    counted: Literal["positives", "all"] = "positives"
    """Instances that are counted: the `positives`, or `all`, as for impressions and clicks."""
    scale: Literal["log1p", "buckets"] = "log1p"
    """Scaling of the count n: `log1p`, one feature with x_i = ln(1 + n); `buckets`, one per half power of two."""

    @property
    def carries_x(self) -> bool:
        """Whether its x_i may differ from 1."""
        return self.scale == "log1p"


class CoOccurrence(Declaration):
    """Item co-occurrence: how well an item goes with the other items of its user, as in item-based filtering.

    For each other item j of the user, the number of users out of 1,000 users of j who also have item i (the conditional
    probability of Deshpande and Karypis, TOIS 2004, section 4.2), 1000 n_ij / (n_j + 5); the 5 shrinks items with few
    users towards 0. Users and items are those of the training split's positives; a training instance does not count
    itself.
    """

    kind: Literal["co_occurrence"]
    of: tuple[FieldName, FieldName]
    """The user field and the item field; each must have one id per event."""
    aggregation: Literal["max", "sum"] = "max"
    """How the shares of the user's other items are combined."""
    scale: Literal["log1p", "buckets"] = "buckets"
    """Scaling of the combined number, as for frequency encoding."""

    @property
    def carries_x(self) -> bool:
        """Whether its x_i may differ from 1."""
        return self.scale == "log1p"


class TargetRate(Declaration):
    """Target encoding: how often the label is positive where a value, or a combination of values, occurs.

    The rate r among the n instances of the training split that have it is shrunk towards the rate of all of them, r_0:
    r = (positives + smoothing r_0) / (n + smoothing), the m-estimate (Micci-Barreca, SIGKDD Explorations 2001, section
    3). Of a training instance, only the instances of the nine tenths of the split are counted in which it is not
    itself (cross-fitting, as by scikit-learn's TargetEncoder), so that no label says something about itself. Only the
    label of an event that was logged twice may: its copy is in another tenth.
    """

    kind: Literal["target_rate"]
    of: Annotated[tuple[FieldName, ...], Constrained(min_length=1)]
    """The fields whose values are taken together; each must have one id per event."""
    smoothing: Annotated[float, Constrained(gt=0.0, le=1e6)] = 20.0
    """Number of instances that weigh as much as the rate of all."""
    scale: Literal["log_odds", "buckets"] = "log_odds"
    """Scaling of the rate: `log_odds`, one feature with x_i = ln(r / (1 - r)) - ln(r_0 / (1 - r_0)); `buckets`, one per
    half power of two of the odds."""

    @property
    def carries_x(self) -> bool:
        """Whether its x_i may differ from 1."""
        return self.scale == "log_odds"


Derived = Crossed | Frequency | CoOccurrence | TargetRate
"""Kinds that are computed from the ids of the fields `of`."""
COUNT_BUCKETS = 64
"""Number of buckets of a count: their bounds are powers of the square root of 2, up to 2^32."""
