"""Numbers in text, and x_i and ids of numeric fields, as `pipelines.encoding.numbers` computes them."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from afm_core.features import FieldIds, Numeric
from afm_core.prediction.distinct import by_distinct_value

_NUMBER = r"^[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,3})?(\r\n|\r|\n)?$"
_MAX_NUMBER = 1e150

Doubles = NDArray[np.float64]


def numbers_of(texts: pa.Array) -> Doubles:
    """(N,) text to doubles, rounded correctly; NaN for null and where a text is no number of decimal notation."""
    matching = pc.match_substring_regex(texts, _NUMBER)
    texts = pc.if_else(matching, texts, pa.scalar(None, pa.string()))
    try:
        numbers = texts.cast(pa.float64())
    except pa.ArrowInvalid:  # a leading plus or a line end, which Arrow does not read
        numbers = by_distinct_value(texts, float, pa.float64())
    doubles: Doubles = numbers.to_numpy(zero_copy_only=False).astype(np.float64)
    return np.where(np.abs(doubles) < _MAX_NUMBER, doubles, np.nan)


def encode_numbers(
    value: Doubles, field: FieldIds, declared: Numeric
) -> tuple[NDArray[np.int32], NDArray[np.float32] | None]:
    """The ids (N,), and x_i (N,) where the field has one, of N numbers, NaN where there is none."""
    scaling = field.scaling
    assert scaling is not None
    if declared.missing == "mean":
        value = np.where(np.isnan(value), scaling.mean, value)
    is_missing, first = np.isnan(value), field.ranges[0].first
    known = np.full(len(value), first, dtype=np.int64)
    if declared.scale == "quantiles" and scaling.edges:
        known += np.searchsorted(np.array(scaling.edges), value, side="right")
    ids = np.where(is_missing, field.unknown_id, known).astype(np.int32)
    return ids, _scaled(value, declared, scaling.mean, scaling.deviation) if field.x_column else None


def _scaled(value: Doubles, declared: Numeric, mean: float, deviation: float) -> NDArray[np.float32]:
    x = np.sign(value) * np.log1p(np.abs(value)) if declared.scale == "log1p" else (value - mean) / deviation
    return np.where(np.isnan(value), 1.0, x).astype(np.float32)
