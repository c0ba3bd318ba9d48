"""Functions of Python applied to each distinct value of a column once."""

from collections.abc import Callable
from typing import Any

import pyarrow as pa


def by_distinct_value(values: pa.Array, function: Callable[[Any], Any], type_: pa.DataType) -> pa.Array:
    """(N,) the results of a function that maps a value to one of `type_`, or to None; nulls stay null."""
    encoded = values.dictionary_encode()
    results = pa.array([function(value) for value in encoded.dictionary.to_pylist()], type_)
    return results.take(encoded.indices)
