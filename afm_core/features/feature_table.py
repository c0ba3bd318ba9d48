"""Reading a feature table with pyarrow: which id stands for which value of which field.

The only reader outside Spark; `pipelines.encoding.feature_table` reads the same file as a DataFrame.
"""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from afm_core.storage.paths import open_for_reading

MEANING = ("id", "field", "value")
"""The columns that say what an id means."""


def read_feature_table(path: Path, columns: Sequence[str] = MEANING, fields: Sequence[str] | None = None) -> pa.Table:
    """The rows of a feature table in the order of their ids.

    Cost: one pass over the file; memory for the rows that are kept.

    Args:
        columns: out of id, field, value and count; `id` is always included.
        fields: keep only the rows of these fields. Without it all rows are kept, padding and unknown ids included.
    """
    wanted = list(dict.fromkeys(["id", *columns]))
    with open_for_reading(path) as file:
        # Typed: a list of none, where no field has a vocabulary, would be one of nulls.
        filters = None if fields is None else pc.field("field").isin(pa.array(fields, pa.string()))
        return pq.read_table(file, columns=wanted, filters=filters).sort_by("id").select(wanted)


def values_by_id(path: Path) -> pa.Array:
    """(n_ids,) the value of every id, null for padding and unknown ids."""
    return read_feature_table(path, ["value"])["value"].combine_chunks()
