"""Typed columns become the text that a CSV of the same rows would hold."""

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import SparkSession

from pipelines.logs.typed_text import as_text

CASES: list[tuple[pa.DataType, list[Any], list[str | None]]] = [
    (
        pa.float64(),
        [10000002.0, 102.0, -0.0, 1.5, 1593878903.438, float("nan"), None, 2.0**53, -1e15, 1e20, 0.25],
        ["10000002", "102", "0", "1.5", "1593878903.438", None, None, "9007199254740992", "-1" + "0" * 15,
         "1" + "0" * 20, "0.25"],
    ),
    (pa.float64(), [9.0e18, 1e300, float("inf")], ["9" + "0" * 18, "1.0E300", "Infinity"]),
    (pa.float64(), [12345678.000001, 0.0001, -0.00012], ["12345678.000001", "0.0001", "-0.00012"]),
    (pa.float64(), [1e-13, -2.5e-13], ["0.0000000000001", "-0.00000000000025"]),
    (pa.float64(), [1.234567890123456e-13, 9e-14], ["0.0000000000001234567890123456", "9.0E-14"]),
    (pa.float32(), [16777216.0, 0.1, float("nan"), 3e9], ["16777216", "0.1", None, "3000000000"]),
    (pa.float32(), [0.0001], ["0.0001"]),
    (pa.int64(), [2**63 - 1, -(2**63), 0], [str(2**63 - 1), str(-(2**63)), "0"]),
    (pa.uint64(), [2**64 - 1, 5], [str(2**64 - 1), "5"]),
    (pa.int8(), [-1, None], ["-1", None]),
    (pa.decimal128(10, 2), [Decimal("120.00"), Decimal("12.50"), Decimal("0.00")], ["120", "12.5", "0"]),
    (pa.decimal128(38, 0), [Decimal(10**37), Decimal(100)], [str(10**37), "100"]),
    (pa.bool_(), [True, False], ["true", "false"]),
    (pa.date32(), [date(2026, 1, 2)], ["2026-01-02"]),
    (pa.timestamp("us", "UTC"), [datetime(2026, 1, 2, 3, 4, 5, 678000, UTC)], ["2026-01-02 03:04:05.678"]),
    (pa.timestamp("us"), [datetime(2026, 1, 2, 3, 4, 5)], ["2026-01-02 03:04:05"]),
    (pa.string(), ["007", "1.0", "1E3", "NaN", " x"], ["007", "1.0", "1E3", "NaN", " x"]),
]  # fmt: skip


def test_typed_values_as_text(spark: SparkSession, tmp_path: Path) -> None:
    length = max(len(values) for _, values, _ in CASES)
    columns = {
        f"{position} {type_}": pa.array([*values, *[None] * (length - len(values))], type_)
        for position, (type_, values, _) in enumerate(CASES)
    }
    pq.write_table(pa.table({"row": list(range(length)), **columns}), tmp_path / "values.parquet")
    frame = spark.read.parquet(str(tmp_path / "values.parquet"))
    texts = [as_text(frame[f"`{name}`"], frame.schema[name].dataType).alias(name) for name in columns]
    rows = frame.select("row", *texts).orderBy("row").collect()
    for name, (_, values, expected) in zip(columns, CASES, strict=True):
        assert [row[name] for row in rows[: len(values)]] == expected, name
