"""Scoring a file of raw rows without Spark."""

import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.json
import pyarrow.parquet as pq

from afm_core.errors import RowsError
from afm_core.prediction import Predictor
from afm_core.settings.data import LogsSettings
from afm_core.storage.atomic import replacing

_JSON, _PARQUET, _TABS = (".json", ".jsonl", ".ndjson"), (".parquet", ".pq"), (".tsv", ".tab")
_ROWS_AT_ONCE, _BYTES_AT_ONCE = 1 << 16, 1 << 24


@dataclass
class Predicted:
    """What was scored."""

    rows: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    """By the broken rule."""
    seconds: float = 0.0


def predict_file(bundle: Path, rows: Path, out: Path | None) -> Predicted:
    """Score the rows of a file and write a CSV with their keys, scores, and the rules that rejected rows break.

    A line of a CSV file with another number of columns than the header has no row there; it is counted as malformed.

    Memory: that of a block of the file, but for JSON all of it.

    Raises:
        BundleError: there is no bundle, or it is damaged.
        RowsError: the file cannot be read, or lacks a column.
        OSError: the output cannot be written.
    """
    if out and out.exists() and rows.exists() and out.samefile(rows):
        raise RowsError(f"{out}: is the file of the rows; write the scores to another one")
    start, counts = time.monotonic(), Predicted()
    predictor = Predictor.from_bundle(bundle)
    logs = predictor.bundle.settings.logs
    wanted = tuple(dict.fromkeys([*logs.keys, *predictor.columns]))
    with _output(out) as file:
        written = False
        for table in _tables(rows, logs, wanted, counts):
            scores, broken = predictor.predict_accepted(table)
            keys = {name: table[name] for name in logs.keys if name in table.column_names}
            rejected = pa.array(broken, pa.string())
            scored = {"score": pa.array(scores, mask=rejected.is_valid().to_numpy(zero_copy_only=False))}
            output = pa.table({**keys, **scored, "rejected": rejected})
            options = pyarrow.csv.WriteOptions(include_header=not written, quoting_style="needed")
            pyarrow.csv.write_csv(output, file, options)
            written = True
            counts.rows += len(scores)
            counts.rejected.update(rule for rule in broken if rule)
    counts.seconds = time.monotonic() - start
    return counts


@contextmanager
def _output(path: Path | None) -> Iterator[IO[bytes]]:
    """The file, which appears as a whole or not at all; standard output without one."""
    if path is None:
        yield sys.stdout.buffer
        return
    with replacing(path) as unfinished, unfinished.open("wb") as file:
        yield file


def _tables(path: Path, logs: LogsSettings, wanted: tuple[str, ...], counts: Predicted) -> Iterator[pa.Table]:
    """The wanted columns of a file, block by block; malformed lines of CSV are left out and counted."""
    suffix = path.suffix.lower()
    try:
        if suffix in _PARQUET:
            for batch in pq.ParquetFile(path).iter_batches(_ROWS_AT_ONCE):
                yield pa.Table.from_batches([batch])
        elif suffix in _JSON:
            yield _json(path)
        else:
            for batch in _csv(path, logs, wanted, counts, tabs=suffix in _TABS):
                yield pa.Table.from_batches([batch])
    except (OSError, pa.ArrowInvalid) as error:
        raise RowsError(f"{path}: cannot be read: {str(error).splitlines()[0]}") from error


def _json(path: Path) -> pa.Table:
    """JSON lines; text that looks like a time stays text."""
    table = pyarrow.json.read_json(path)
    as_text = [pa.field(each.name, _without_times(each.type)) for each in table.schema]
    if as_text == list(table.schema):
        return table
    return pyarrow.json.read_json(path, parse_options=pyarrow.json.ParseOptions(explicit_schema=pa.schema(as_text)))


def _without_times(type_: pa.DataType) -> pa.DataType:
    if pa.types.is_list(type_):
        return pa.list_(_without_times(type_.value_type))
    return pa.string() if pa.types.is_timestamp(type_) or pa.types.is_time(type_) else type_


def _csv(path: Path, logs: LogsSettings, wanted: tuple[str, ...], counts: Predicted, *, tabs: bool) -> Any:
    """All columns as text, in the dialect of the logs that the bundle was trained on."""
    separator = "\t" if tabs else logs.separator if logs.format == "csv" else ","
    if len(separator) != 1:
        raise RowsError(f"{path}: logs.separator is {separator!r}; without Spark it must be one character")
    names = logs.columns if logs.format == "csv" else ()

    def malformed(_: Any) -> str:
        counts.rows += 1
        counts.rejected["malformed"] += 1
        return "skip"

    parse = pyarrow.csv.ParseOptions(
        delimiter=separator,
        quote_char=logs.quote or False,
        double_quote=logs.escape == logs.quote,
        escape_char=False if logs.escape == logs.quote else logs.escape,
        newlines_in_values=logs.multiline,
        invalid_row_handler=malformed,
    )
    return pyarrow.csv.open_csv(
        path,
        pyarrow.csv.ReadOptions(block_size=_BYTES_AT_ONCE, column_names=list(names) or None, encoding=logs.encoding),
        parse,
        pyarrow.csv.ConvertOptions(column_types=dict.fromkeys(wanted, pa.string()), strings_can_be_null=False),
    )
