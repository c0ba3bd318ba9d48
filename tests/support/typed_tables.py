"""Random typed tables, and writers of them in every format and dialect that logs may have."""

import csv
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from pyarrow import orc

SCHEMA = pa.schema(
    [
        ("text", pa.string()),
        ("whole", pa.int64()),
        ("small", pa.int16()),
        ("double", pa.float64()),
        ("exact", pa.decimal128(12, 3)),
        ("flag", pa.bool_()),
        ("day", pa.date32()),
        ("time", pa.timestamp("us")),
        ("tags", pa.list_(pa.string())),
    ]
)
FIELDS: list[Any] = [*SCHEMA.names[:-1], {"name": "tags", "kind": "tags", "length": 3}]
_PECULIAR = [
    "007",
    "1.0",
    "1E3",
    " x ",
    "a,b",
    'say "x"',
    '"',
    "::",
    "\t",
    "[x",
    "{y",
    "NULL",
    "nan",
    "\\N",
    "true",
    "NA",
    "\U0001f600 e\u0301 \u202e",
    "x" * 33_000,  # too long for a value
]
_PLAIN_BELOW = 1e37  # larger numbers have an exponent, as Java writes it
_EXTREME = [
    *(float("nan"), float("inf"), -float("inf"), -0.0, 0.1 + 0.2, 2.0**53 + 2, 9.3e18, 123_456_789.123),
    *(1e-5, -1.5e-12, 1e37, 1e300),
]
# No line ends and other control characters, no mark of damage; a backslash before a quote means another dialect.
_LETTERS = st.characters(exclude_categories=("Cc", "Cs"), exclude_characters="\ufffd\ufeff\\")
_VALUES: dict[str, st.SearchStrategy[Any]] = {
    "text": st.one_of(st.sampled_from(_PECULIAR), st.text(_LETTERS, max_size=6)),
    "whole": st.one_of(st.integers(-(2**63), 2**63 - 1), st.sampled_from([2**53 + 1, 2**63 - 1, -(2**63)])),
    "small": st.integers(-(2**15), 2**15 - 1),
    "double": st.one_of(
        st.integers(-(10**6), 10**6).map(lambda eighths: eighths / 8),
        st.integers(-(10**15), 10**15).map(float),
        st.sampled_from(_EXTREME),
    ),
    "exact": st.integers(-(10**9), 10**9).map(lambda thousandths: Decimal(thousandths).scaleb(-3)),
    "flag": st.booleans(),
    "day": st.dates(date(1600, 1, 1), date(9999, 12, 31)),
    "time": st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1)),  # ORC of pyarrow has no earlier fractions
    "tags": st.lists(st.sampled_from(["a", "b", "ü x", "7"]), max_size=3),
}
_ROW = st.fixed_dictionaries({name: st.one_of(st.none(), values) for name, values in _VALUES.items()}).map(
    lambda row: (
        row | {"flag": row["flag"] or any(row.values())}
    )  # Spark takes a line of nothing but tabs for a blank one
)
_WHOLE_ROW = {
    "text": "x",
    "whole": 1,
    "small": 2,
    "double": 0.5,
    "exact": Decimal("1.500"),
    "flag": True,
    "day": date(2026, 1, 2),
    "time": datetime(2026, 1, 2, 3, 4, 5, 600),
    "tags": ["a"],
}
TABLES = st.lists(_ROW, min_size=5, max_size=30).map(lambda rows: pa.Table.from_pylist([*rows, _WHOLE_ROW], SCHEMA))
"""Tables of `SCHEMA` with missing values, but no column without any value."""


def generated(examples: int) -> settings:
    """The same examples in every run, however long each takes, and none that is simplified after a failure."""
    return settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
    )


@dataclass(frozen=True)
class Written:
    """One way to write a table."""

    write: Callable[[pa.Table, Path], object]
    logs: dict[str, Any]
    """The settings that read it."""


def _text(value: Any) -> str:
    """As the same value is written by people: whole numbers without a point, no zeros after a fraction, no exponent."""
    match value:
        case None:
            return ""
        case bool():
            return str(value).lower()
        case float() if not math.isfinite(value):
            return str(value).replace("inf", "Infinity")
        case float() if abs(value) >= _PLAIN_BELOW:
            return repr(value).replace("e+", ".0E")
        case float() if value.is_integer():
            return str(int(value))
        case float():
            return f"{Decimal(repr(value)):f}"
        case Decimal():
            return f"{value:f}".rstrip("0").rstrip(".")
        case datetime():
            return value.isoformat(sep=" ").rstrip("0") if value.microsecond else value.isoformat(sep=" ")
        case list():
            return json.dumps(value, ensure_ascii=False)
    return str(value)


def _csv(**dialect: Any) -> Callable[[pa.Table, Path], None]:
    def write(table: pa.Table, path: Path) -> None:
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n", **dialect)
            writer.writerow(table.column_names)
            writer.writerows([[_text(value) for value in row.values()] for row in table.to_pylist()])

    return write


def _json(table: pa.Table, path: Path) -> None:
    def value(given: Any) -> Any:
        return given if isinstance(given, str | list | bool | int | None) else _text(given)

    with path.open("w", encoding="utf-8") as file:
        for row in table.to_pylist():
            written = {name: value(each) for name, each in row.items()}
            file.write(json.dumps(written, ensure_ascii=False) + "\n")


def _pandas(table: pa.Table, path: Path) -> None:
    """Whole numbers beside missing values as objects: pandas would make doubles of them, which hold 53 bits."""
    table.to_pandas(integer_object_nulls=True).to_parquet(path)


def _polars(table: pa.Table, path: Path) -> None:
    import polars

    polars.from_arrow(table).write_parquet(path)


def _duckdb(table: pa.Table, path: Path) -> None:
    import duckdb

    with duckdb.connect() as connection:
        connection.register("logs", table)
        connection.execute(f"COPY logs TO '{path}' (FORMAT parquet)")


_PARQUET = {"format": "parquet"}
WRITERS = {
    "parquet of pyarrow": Written(pq.write_table, _PARQUET),
    "parquet of pandas": Written(_pandas, _PARQUET),
    "parquet of polars": Written(_polars, _PARQUET),
    "parquet of DuckDB": Written(_duckdb, _PARQUET),
    "ORC": Written(lambda table, path: orc.write_table(table, str(path)), {"format": "orc"}),
    "JSON": Written(_json, {"format": "json"}),
    "CSV": Written(_csv(), {}),
    "TSV": Written(_csv(delimiter="\t"), {"format": "tsv"}),
    "CSV with single quotes": Written(_csv(quotechar="'", delimiter=";"), {"quote": "'", "separator": ";"}),
    "CSV with backslashes": Written(_csv(doublequote=False, escapechar="\\", quoting=csv.QUOTE_ALL), {"escape": "\\"}),
    "CSV all quoted": Written(_csv(quoting=csv.QUOTE_ALL), {}),
}
if find_spec("polars") is None or find_spec("duckdb") is None:  # the environments of clusters do not have them
    WRITERS = {name: written for name, written in WRITERS.items() if not name.endswith(("polars", "DuckDB"))}
