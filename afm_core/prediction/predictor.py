"""The public interface of predictions without Spark."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from afm_core.bundle import Bundle, read_bundle
from afm_core.errors import RowsError
from afm_core.prediction.encoder import EncodedRows, RowEncoder
from afm_core.prediction.row_explainer import RowExplainer
from afm_core.prediction.rules import Broken
from afm_core.prediction.tables import RawColumns, arrow_table
from afm_core.storage.paths import to_path

_SHOWN = 3
_CELLS_AT_ONCE = 1 << 21


class Predictor:
    """Scores raw rows with a bundle: the same scores as a night's, bit for bit, without Spark.

    Rows are tables of pyarrow, pandas or polars, or lists of dictionaries, with the columns of the logs that the fields
    read, of any type that Parquet could have. Columns of joined tables (`logs.join`) must be among them. Neither keys
    nor labels are read.

    A predictor may be used by several threads, one call at a time.
    """

    def __init__(self, bundle: Bundle) -> None:
        """Load the vocabularies and tables of a bundle into memory.

        Raises:
            RowsError: a field has a time format that only Spark can read.
        """
        self.bundle = bundle
        self._encoder = RowEncoder(bundle)
        self._missing = bundle.settings.logs.missing
        self.columns: Sequence[str] = self._encoder.columns
        """Columns that rows must have, as far as `logs.optional` does not name them."""

    @classmethod
    def from_bundle(cls, path: str | Path) -> Self:
        """Open the bundle at a path or URL.

        Raises:
            BundleError: there is no bundle, or it is damaged.
        """
        return cls(read_bundle(to_path(str(path))))

    def predict(self, rows: Any) -> NDArray[np.float32]:
        """The scores of N rows, (N,) float32, in their order.

        Memory: that of the scores, and of a block of the rows.

        Raises:
            RowsError: a column is missing, or a row breaks a rule for which a night would reject it.
        """
        scores, broken = self._scored(rows)
        if any(broken):
            raise RowsError(_described(broken))
        return scores

    def predict_accepted(self, rows: Any) -> tuple[NDArray[np.float32], list[str | None]]:
        """The scores of N rows, NaN for those that a night would reject, and for each of these the broken rule.

        Raises:
            RowsError: a column is missing, or holds no plain values.
        """
        scores, broken = self._scored(rows)
        scores[np.array([rule is not None for rule in broken], dtype=bool)] = np.nan
        return scores, [str(rule) if rule else None for rule in broken]

    def explain(self, rows: Any, k: int = 5) -> pa.Table:
        """The score of each row, `first_order` (w_0 + sum w_i x_i), and `interactions`: its k most weighted pairs.

        The columns are those of nights that are scored with `--explain`.

        Raises:
            RowsError: as `predict`.
            BundleError: the model's output is not a sum over weighted pairs.
        """
        explainer, parts = RowExplainer(self.bundle, k), []
        for encoded in self._encoded(rows):
            if any(encoded.broken):
                raise RowsError(_described(encoded.broken))
            scores = self.bundle.scorer.columns(encoded.ids, encoded.x)
            parts.append(pa.table({"score": scores, **explainer.columns(encoded.ids, encoded.x)}))
        return pa.concat_tables(parts)

    def _scored(self, rows: Any) -> tuple[NDArray[np.float32], list[Broken | None]]:
        scores, broken = [], list[Broken | None]()
        for encoded in self._encoded(rows):
            scores.append(self.bundle.scorer.columns(encoded.ids, encoded.x))
            broken += encoded.broken
        return np.concatenate(scores), broken

    def _encoded(self, rows: Any) -> Iterator[EncodedRows]:
        """The rows block by block, at least one."""
        table = arrow_table(rows, self.columns)
        missing = set(self.columns) - set(table.column_names) - set(self.bundle.settings.logs.optional)
        if missing:
            raise RowsError(
                f"rows: column {', '.join(sorted(missing))} missing; the fields of {self.bundle.settings.name} read "
                f"{', '.join(self.columns)}"
            )
        size = max(1, _CELLS_AT_ONCE // max(1, len(self.columns)))
        for start in range(0, max(1, table.num_rows), size):
            yield self._encoder.encode(RawColumns(table.slice(start, size), self._missing))


def _described(broken: Sequence[Broken | None]) -> str:
    rows = [(number, rule) for number, rule in enumerate(broken) if rule]
    shown = ", ".join(f"row {number} ({rule})" for number, rule in rows[:_SHOWN])
    more = f" and {len(rows) - _SHOWN:,} others" if len(rows) > _SHOWN else ""
    return f"rows: a night would reject {shown}{more}; correct them, or call predict_accepted"
