"""What the Python workers count of a night while they score it, so that nobody has to look at its rows again."""

import json
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark import Accumulator, AccumulatorParam, SparkContext

from afm_core.bundle import Bundle
from afm_core.drift import Shift
from pipelines.scoring.drift import Bins

Numbers = NDArray[np.int64]
Values = dict[str, Counter[str]]
_KEPT, _SHOWN = 1000, 5


class _Vector(AccumulatorParam[Numbers]):
    """Sums of arrays; Spark adds those of each task that was done, once, however often it was tried."""

    def zero(self, value: Numbers) -> Numbers:
        return np.zeros_like(value)

    def addInPlace(self, value1: Numbers, value2: Numbers) -> Numbers:  # noqa: N802 the name that Spark calls
        value1 += value2
        return value1


class _Frequent(AccumulatorParam[Values]):
    """Rows by value of each field, of the most frequent values."""

    def zero(self, value: Values) -> Values:
        return {}

    def addInPlace(self, value1: Values, value2: Values) -> Values:  # noqa: N802
        for name, counts in value2.items():
            value1[name] = Counter(dict((value1.get(name, Counter()) + counts).most_common(_KEPT)))
        return value1


@dataclass(frozen=True)
class NightCounts:
    """Totals of a night, after its action: rows, rows of unknown value by field, rows by bin, seconds in the model."""

    bundle: Bundle
    total: Accumulator[Numbers]
    new: Accumulator[Values]

    @classmethod
    def begin(cls, context: SparkContext, bundle: Bundle) -> "NightCounts":
        """All at 0."""
        zeros = np.zeros(len(Tally(bundle).total), dtype=np.int64)
        return cls(bundle, context.accumulator(zeros, _Vector()), context.accumulator({}, _Frequent()))

    @property
    def rows(self) -> int:
        """That were scored."""
        return int(self.total.value[0])

    @property
    def model_seconds(self) -> float:
        """Processor time in the model, all tasks together."""
        return round(float(self.total.value[1]) / 1e9, 2)

    @property
    def unknown(self) -> dict[str, float]:
        """Share of the rows whose value is missing or was never seen, by field."""
        names = self.bundle.feature_map.names
        counts = self.total.value[2 : 2 + len(names)]
        return {name: round(int(count) / max(1, self.rows), 6) for name, count in zip(names, counts, strict=True)}

    @property
    def new_values(self) -> dict[str, dict[str, int]]:
        """The most frequent values without an id, and their rows, by field.

        Of a field with more than a thousand of them a rare one may be counted short.
        """
        return {
            name: dict(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[:_SHOWN])
            for name, counts in sorted(self.new.value.items())
        }

    @property
    def shifts(self) -> dict[str, Shift]:
        """Of the fields that have bins."""
        return _bins_of(self.bundle).shifts(self.total.value[2 + len(self.bundle.feature_map.names) :])


class Tally:
    """One task's part of `NightCounts`."""

    def __init__(self, bundle: Bundle) -> None:
        self._bins, fields = _bins_of(bundle), bundle.feature_map.fields
        self._slots = [bundle.feature_map.id_columns.index(field.id_columns[0]) for field in fields]
        self._unknown = np.array([field.unknown_id for field in fields])
        self._first_bin = 2 + len(fields)
        x_columns = bundle.feature_map.x_columns
        self._numbers = [
            (slot, x_columns.index(field.x_column), field.unknown_id, self._first_bin + self._bins.first[field.name])
            for slot, field in zip(self._slots, fields, strict=True)
            if field.name in self._bins.edges and field.x_column
        ]
        self._edges = list(self._bins.edges.values())
        self.total = np.zeros(self._first_bin + len(self._bins.expected), dtype=np.int64)
        self.new: Values = {}

    def add(self, ids: NDArray[np.int32], x: NDArray[np.float32], model_nanoseconds: int) -> None:
        """Count a batch of ids (N, slots) and x (N, columns of x)."""
        self.total[:2] += (len(ids), model_nanoseconds)
        self.total[2 : self._first_bin] += (ids[:, self._slots] == self._unknown).sum(axis=0)
        bins = self._bins.of_id[ids.ravel()]
        self.total[self._first_bin :] += np.bincount(bins + 1, minlength=len(self._bins.expected) + 1)[1:]
        for (slot, column, unknown, first), edges in zip(self._numbers, self._edges, strict=True):
            numbers = x[ids[:, slot] != unknown, column]
            size = len(edges) + 1
            self.total[first : first + size] += np.bincount(np.searchsorted(edges, numbers), minlength=size)

    def add_new(self, name: str, values: pa.Array) -> None:
        """Count the text of a field where its value has no id; null elsewhere."""
        found = values.drop_null().value_counts()
        if len(found):
            order = np.argsort(-found.field("counts").to_numpy(), kind="stable")[:_KEPT]
            frequent = found.take(pa.array(order))
            counts = zip(frequent.field("values").to_pylist(), frequent.field("counts").to_pylist(), strict=True)
            _Frequent().addInPlace(self.new, {name: Counter(dict(counts))})


def _bins_of(bundle: Bundle) -> Bins:
    profiles = json.dumps(bundle.metrics.get("fields", {}))
    return _bins(str(bundle.features_path.absolute()), bundle.feature_map.fingerprint, profiles)


@lru_cache(maxsize=1)
def _bins(features: str, _fingerprint: str, profiles: str) -> Bins:
    return Bins.of(Path(features), json.loads(profiles))
