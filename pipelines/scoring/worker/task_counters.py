"""What the Python workers count while they score a night, so that its rows need not be read again."""

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
_SINGLE = 2  # rows scored, nanoseconds in the model; then unknown values by field, given numbers, and bins


class _Vector(AccumulatorParam[Numbers]):
    """Sums of arrays. Spark adds the counts of each task once, however often the task was tried."""

    def zero(self, value: Numbers) -> Numbers:
        return np.zeros_like(value)

    def addInPlace(self, value1: Numbers, value2: Numbers) -> Numbers:  # noqa: N802 Spark's name
        value1 += value2
        return value1


class _Frequent(AccumulatorParam[Values]):
    """Number of rows of the most frequent values of each field."""

    def zero(self, value: Values) -> Values:
        return {}

    def addInPlace(self, value1: Values, value2: Values) -> Values:  # noqa: N802
        for name, counts in value2.items():
            value1[name] = Counter(dict((value1.get(name, Counter()) + counts).most_common(_KEPT)))
        return value1


@dataclass(frozen=True)
class NightCounters:
    """Totals of a night, complete when its Spark action has ended."""

    bundle: Bundle
    mean_filled: tuple[str, ...]
    """Fields that replace a missing number by the mean."""
    total: Accumulator[Numbers]
    unseen: Accumulator[Values]

    @classmethod
    def begin(cls, context: SparkContext, bundle: Bundle, mean_filled: Iterable[str]) -> "NightCounters":
        """All counts at 0."""
        names = tuple(mean_filled)
        zeros = np.zeros(len(TaskCounters(bundle, names).total), dtype=np.int64)
        return cls(bundle, names, context.accumulator(zeros, _Vector()), context.accumulator({}, _Frequent()))

    @property
    def rows(self) -> int:
        """Rows that were scored."""
        return int(self.total.value[0])

    @property
    def model_seconds(self) -> float:
        """Processor time spent in the model, all tasks together."""
        return round(float(self.total.value[1]) / 1e9, 2)

    @property
    def unknown(self) -> dict[str, float]:
        """Share of the scored rows with a missing or unseen value, by field."""
        names = self.bundle.feature_map.names
        return {
            name: round(int(count) / max(1, self.rows), 6) for name, count in zip(names, self._unknown, strict=True)
        }

    @property
    def has_empty_field(self) -> bool:
        """Whether a field may have had no value in any row: none was known, or each was replaced by the mean."""
        given = self.total.value[self._first_given : self._first_given + len(self.mean_filled)]
        return bool(np.any(self._unknown == self.rows) or np.any(given == 0))

    @property
    def _unknown(self) -> Numbers:
        counts: Numbers = self.total.value[_SINGLE : self._first_given]
        return counts

    @property
    def _first_given(self) -> int:
        return _SINGLE + len(self.bundle.feature_map.names)

    @property
    def unseen_values(self) -> dict[str, dict[str, int]]:
        """The most frequent values without an id and their number of rows, by field.

        Where a field has more than a thousand such values, rare ones may be undercounted.
        """
        return {
            name: dict(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[:_SHOWN])
            for name, counts in sorted(self.unseen.value.items())
        }

    @property
    def shifts(self) -> dict[str, Shift]:
        """The shift of each field that has bins."""
        return self.bundle.field_bins.shifts(self.total.value[self._first_given + len(self.mean_filled) :])


class TaskCounters:
    """The counts of one task."""

    def __init__(self, bundle: Bundle, mean_filled: Sequence[str] = ()) -> None:
        self._bins, fields = bundle.field_bins, bundle.feature_map.fields
        self._id_columns = [bundle.feature_map.id_columns.index(field.id_columns[0]) for field in fields]
        self._unknown = np.array([field.unknown_id for field in fields])
        self._mean_filled = mean_filled
        self._first_given = _SINGLE + len(fields)
        self._first_bin = self._first_given + len(mean_filled)
        self.total = np.zeros(self._first_bin + len(self._bins.expected), dtype=np.int64)
        self.unseen: Values = {}

    def add(self, ids: NDArray[np.int32], x: NDArray[np.float32], model_nanoseconds: int) -> None:
        """Count a batch of accepted rows: ids (N, F) and the columns of x_i (N, X)."""
        self.total[:_SINGLE] += (len(ids), model_nanoseconds)
        self.total[_SINGLE : self._first_given] += (ids[:, self._id_columns] == self._unknown).sum(axis=0)
        self.total[self._first_bin :] += self._bins.count(ids, x)

    def add_given(self, name: str, given: pa.Array) -> None:
        """Count the rows in which a mean-filled field had a number."""
        self.total[self._first_given + self._mean_filled.index(name)] += given.true_count

    def add_unseen(self, name: str, values: pa.Array) -> None:
        """Count the text of values without an id; nulls are ignored."""
        counted = values.drop_null().value_counts()
        if len(counted):
            order = np.argsort(-counted.field("counts").to_numpy(), kind="stable")[:_KEPT]
            frequent = counted.take(pa.array(order))
            counts = zip(frequent.field("values").to_pylist(), frequent.field("counts").to_pylist(), strict=True)
            _Frequent().addInPlace(self.unseen, {name: Counter(dict(counts))})
