"""Lists of tags, as `pipelines.logs.values.tag_values` reads them."""

import json
import math
import re
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from afm_core.features import Tags
from afm_core.prediction.distinct import by_distinct_value
from afm_core.prediction.plain_values import text_in_java, text_of
from afm_core.prediction.tables import RawColumns

LIST_OF_TEXT = pa.list_(pa.string())
_SINGLE_QUOTED = re.compile(r"'((?:[^'\\]|\\.)*)'|\"(?:[^\"\\]|\\.)*\"")


def tag_lists(columns: RawColumns, text: pa.Array | None, declared: Tags) -> pa.Array:
    """(N,) the distinct tags of each row, null where it has none. Text such as `[27, 9]` is a list, too.

    Args:
        text: (N,) the column as text; None where it holds lists.

    Raises:
        RowsError: the column holds neither text nor lists of plain values.
    """
    name = declared.source
    if text is None:
        elements = _lists_of_text(columns.raw(name), name)
    else:
        elements = by_distinct_value(text, lambda written: _split(written, declared.separator), LIST_OF_TEXT)
    if declared.ignore_case:
        elements = _with(elements, lowered(pc.list_flatten(elements)))
    return _distinct(elements)


def lowered(text: pa.Array) -> pa.Array:
    """(N,) in lower case, by the rules of the language where they are more than those of letters."""
    if pc.all(pc.string_is_ascii(text)).as_py() is not False:
        return pc.utf8_lower(text)
    return by_distinct_value(text, str.lower, pa.string())


def _lists_of_text(lists: pa.Array, name: str) -> pa.Array:
    return _with(lists.cast(pa.list_(lists.type.value_type)), text_of(pc.list_flatten(lists), name))


def _with(lists: pa.ListArray, elements: pa.Array) -> pa.ListArray:
    """Lists of the same lengths with other elements."""
    lengths = pc.list_value_length(lists).fill_null(0).to_numpy(zero_copy_only=False)
    offsets = pa.array(np.append(0, np.cumsum(lengths)).astype(np.int32))
    return pa.ListArray.from_arrays(offsets, elements)


def _distinct(lists: pa.ListArray) -> pa.Array:
    """Each tag of a row once and without blanks around it; null where none is left."""
    row = pc.list_parent_indices(lists).to_numpy().astype(np.int64)
    tag = pc.utf8_trim(pc.list_flatten(lists), " ")
    encoded = tag.dictionary_encode()
    number = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    is_tag = pc.not_equal(tag, "").fill_null(False).to_numpy(zero_copy_only=False)
    row, number = row[is_tag], number[is_tag]
    keys = np.unique(row * (len(encoded.dictionary) + 1) + number)
    row, number = np.divmod(keys, len(encoded.dictionary) + 1)
    counts = np.bincount(row, minlength=len(lists))
    ends = np.cumsum(counts)
    offsets = pa.array(np.append(0, ends).astype(np.int32), mask=np.append(counts == 0, False))
    return pa.ListArray.from_arrays(offsets, encoded.dictionary.take(pa.array(number)))


def _split(text: str, separator: str) -> list[str | None]:
    elements = _listed(text)
    return [*text.split(separator)] if elements is None else elements


def _listed(text: str) -> list[str | None] | None:
    """The elements of a list as JSON and Python write it, None for other text."""
    if not (text.startswith("[") and text.endswith("]")):
        return None
    for written in (text, _SINGLE_QUOTED.sub(_double_quoted, text)):
        try:
            return [_element(value) for value in json.loads(written)]
        except ValueError:
            continue
    return None


def _double_quoted(match: re.Match[str]) -> str:
    inner = match[1]
    return match[0] if inner is None else '"' + inner.replace("\\'", "'").replace('"', '\\"') + '"'


def _element(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, float):
        return text_in_java(value) if math.isfinite(value) else f'"{text_in_java(value)}"'
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
