"""What the Python workers count of a night while they score it, so that nobody has to look at its rows again."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark import Accumulator, AccumulatorParam, SparkContext

from afm_core.bundle import Bundle
from afm_core.drift.stability_index import Shift

Numbers = NDArray[np.int64]
Values = dict[str, Counter[str]]
_KEPT, _SHOWN = 1000, 5
_SINGLE = 3  # rows in, rows scored, nanoseconds in the model; then by field unknown values, given numbers, and bins


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
class NightCounters:
    """Totals of a night, after its action."""

    bundle: Bundle
    filled: tuple[str, ...]
    """Fields that fill in the mean."""
    total: Accumulator[Numbers]
    new: Accumulator[Values]

    @classmethod
    def begin(cls, context: SparkContext, bundle: Bundle, filled: Iterable[str]) -> "NightCounters":
        """All at 0."""
        names = tuple(filled)
        zeros = np.zeros(len(TaskCounters(bundle, names).total), dtype=np.int64)
        return cls(bundle, names, context.accumulator(zeros, _Vector()), context.accumulator({}, _Frequent()))

    @property
    def rows_in(self) -> int:
        """Scored and rejected."""
        return int(self.total.value[0])

    @property
    def rows(self) -> int:
        """That were scored."""
        return int(self.total.value[1])

    @property
    def model_seconds(self) -> float:
        """Processor time in the model, all tasks together."""
        return round(float(self.total.value[2]) / 1e9, 2)

    @property
    def unknown(self) -> dict[str, float]:
        """Share of the rows whose value is missing or was never seen, by field."""
        names = self.bundle.feature_map.names
        return {
            name: round(int(count) / max(1, self.rows), 6) for name, count in zip(names, self._unknown, strict=True)
        }

    @property
    def has_empty(self) -> bool:
        """Whether a field may have had no value in all of the rows: none was known, or each was filled in."""
        given = self.total.value[self._first_given : self._first_given + len(self.filled)]
        return bool(np.any(self._unknown == self.rows) or np.any(given == 0))

    @property
    def _unknown(self) -> Numbers:
        counts: Numbers = self.total.value[_SINGLE : self._first_given]
        return counts

    @property
    def _first_given(self) -> int:
        return _SINGLE + len(self.bundle.feature_map.names)

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
        return self.bundle.field_bins.shifts(self.total.value[self._first_given + len(self.filled) :])


class TaskCounters:
    """One task's part of `NightCounters`."""

    def __init__(self, bundle: Bundle, filled: Sequence[str] = ()) -> None:
        self._bins, fields = bundle.field_bins, bundle.feature_map.fields
        self._slots = [bundle.feature_map.id_columns.index(field.id_columns[0]) for field in fields]
        self._unknown = np.array([field.unknown_id for field in fields])
        self._filled = filled
        self._first_given = _SINGLE + len(fields)
        self._first_bin = self._first_given + len(filled)
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
        """Count a batch of accepted rows: ids (N, slots) and x (N, columns of x)."""
        self.total[1:_SINGLE] += (len(ids), model_nanoseconds)
        self.total[_SINGLE : self._first_given] += (ids[:, self._slots] == self._unknown).sum(axis=0)
        bins = self._bins.bin_of_id[ids.ravel()]
        self.total[self._first_bin :] += np.bincount(bins + 1, minlength=len(self._bins.expected) + 1)[1:]
        for (slot, column, unknown, first), edges in zip(self._numbers, self._edges, strict=True):
            numbers = x[ids[:, slot] != unknown, column]
            size = len(edges) + 1
            self.total[first : first + size] += np.bincount(np.searchsorted(edges, numbers), minlength=size)

    def add_rows(self, rows: int) -> None:
        """Count rows, whatever becomes of them."""
        self.total[0] += rows

    def add_given(self, name: str, given: pa.Array) -> None:
        """Count where a field that fills in the mean had a number."""
        self.total[self._first_given + self._filled.index(name)] += given.true_count

    def add_new(self, name: str, values: pa.Array) -> None:
        """Count the text of a field where its value has no id; null elsewhere."""
        found = values.drop_null().value_counts()
        if len(found):
            order = np.argsort(-found.field("counts").to_numpy(), kind="stable")[:_KEPT]
            frequent = found.take(pa.array(order))
            counts = zip(frequent.field("values").to_pylist(), frequent.field("counts").to_pylist(), strict=True)
            _Frequent().addInPlace(self.new, {name: Counter(dict(counts))})
