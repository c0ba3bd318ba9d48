"""Tables of raw rows, whatever library made them, as columns of text."""

from collections.abc import Collection, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from afm_core.errors import RowsError
from afm_core.prediction.plain_values import text_of


def arrow_table(rows: Any, wanted: Collection[str]) -> pa.Table:
    """The wanted columns of a table of pyarrow, pandas or polars, or of a list of dictionaries, as far as it has them.

    Raises:
        RowsError: it is something else, a column holds values of several types, or two columns have one name.
    """
    try:
        if isinstance(rows, pa.Table | pa.RecordBatch):
            table = pa.Table.from_batches([rows]) if isinstance(rows, pa.RecordBatch) else rows
        elif hasattr(rows, "iloc"):  # pandas, which is not imported for those who do not use it
            table = pa.Table.from_pandas(rows[[name for name in rows if name in wanted]], preserve_index=False)
        elif hasattr(rows, "to_arrow"):  # polars
            table = rows.to_arrow()
        elif isinstance(rows, list):
            given = [name for name in wanted if not rows or any(name in row for row in rows)]
            table = pa.table({name: [row.get(name) for row in rows] for name in given})
        else:
            raise RowsError(
                f"rows are a {type(rows).__name__}; allowed are tables of pyarrow, pandas and polars, and lists of "
                "dictionaries"
            )
    except (pa.ArrowTypeError, ValueError) as error:  # ArrowInvalid and pandas' own are ValueErrors
        raise RowsError(f"rows: {str(error).splitlines()[0]}; give each column values of one type") from error
    names = [name for name in table.column_names if name in wanted]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise RowsError(f"rows: column {', '.join(twice)} occurs more than once; rename the columns")
    return table.select(names)


class RawColumns:
    """The columns of some rows as text, without blanks at their ends, null for what the settings call missing."""

    def __init__(self, table: pa.Table, missing: Sequence[str]) -> None:
        """Wrap a table.

        Args:
            missing: values that mean that there is none, beside empty text.
        """
        self._columns = dict(zip(table.column_names, table.columns, strict=True))
        self._missing = pa.array(["", *missing], pa.string())
        self.n_rows = table.num_rows

    def is_list(self, name: str) -> bool:
        """Whether the column holds lists."""
        type_ = self._columns[name].type if name in self._columns else pa.null()
        return bool(pa.types.is_list(type_) or pa.types.is_large_list(type_) or pa.types.is_fixed_size_list(type_))

    def raw(self, name: str) -> pa.Array:
        """A column as it is; nulls if there is none of that name."""
        if name not in self._columns:
            return pa.nulls(self.n_rows, pa.string())
        return _moved(combined(self._columns[name]))

    def texts(self, names: Sequence[str]) -> dict[str, pa.Array]:
        """(N,) columns of plain values as cleaned text.

        They are cleaned as one column: for a single row, the number of calls is what counts.
        """
        texts = [text_of(self.raw(name), name) for name in names]
        cleaned = self.cleaned(pa.concat_arrays(texts)) if texts else pa.array([], pa.string())
        return {name: _moved(cleaned.slice(at * self.n_rows, self.n_rows)) for at, name in enumerate(names)}

    def cleaned(self, text: pa.Array) -> pa.Array:
        """Text without leading and trailing blanks; null for empty text and the marks of missing values."""
        trimmed = pc.utf8_trim(text, " ")
        is_missing = pc.is_in(trimmed, value_set=self._missing)
        return pc.if_else(is_missing, pa.scalar(None, pa.string()), trimmed)


def combined(column: pa.ChunkedArray) -> pa.Array:
    """A column of a table as one array."""
    if column.num_chunks == 1:
        return column.chunk(0)
    chunks = column.combine_chunks()
    return pa.concat_arrays(chunks.chunks) if isinstance(chunks, pa.ChunkedArray) else chunks


def _moved(array: pa.Array) -> pa.Array:
    """An array that begins at the start of its memory: of text that does not, pyarrow 14's `if_else` makes garbage."""
    return pa.concat_arrays([array, array.slice(0, 0)]) if array.offset else array
