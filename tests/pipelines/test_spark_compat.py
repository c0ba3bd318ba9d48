"""What Spark 3.5 lacks gives the same answers there; `make test-cluster-pins` runs these tests on every version."""

from datetime import datetime

import pytest
from pyspark.sql import Column, SparkSession
from pyspark.sql import functions as F

from pipelines.spark_compat import is_json, is_valid_utf8, parse_struct, try_cast


def answers(spark: SparkSession, texts: list[bytes], answer: Column) -> dict[bytes, object]:
    """The answer for each text; the texts of the column `text` are any bytes, as they are in Parquet and ORC."""
    rows = spark.createDataFrame([(text,) for text in texts], "bytes binary")
    with_text = rows.withColumn("text", F.col("bytes").cast("string"))
    return {bytes(row.bytes): row.answer for row in with_text.select("bytes", answer.alias("answer")).collect()}


VALID = [
    b"",
    b"a",
    "é".encode(),
    "日本".encode(),
    "\U0001f600".encode(),
    b"\x00",
    "\ufffd".encode(),
    b"\xf4\x8f\xbf\xbf",
]
INVALID = {
    "a lone continuation": b"a\x80",
    "Latin 1": b"caf\xe9",
    "cut off": b"\xe6\x97",
    "a byte that never occurs": b"\xff\xfe",
    "overlong": b"\xc0\xaf",
    "overlong, three bytes": b"\xe0\x80\xaf",
    "a surrogate": b"\xed\xa0\x80",
    "a pair of surrogates": b"\xed\xa0\xbd\xed\xb8\x80",
    "beyond the last code point": b"\xf4\x90\x80\x80",
    "five bytes": b"\xf8\x88\x80\x80\x80",
}


def test_bytes_that_are_utf8(spark: SparkSession) -> None:
    found = answers(spark, [*VALID, *INVALID.values()], is_valid_utf8(F.col("text")))
    assert found == {**dict.fromkeys(VALID, True), **dict.fromkeys(INVALID.values(), False)}


def test_no_text_is_neither(spark: SparkSession) -> None:
    row = spark.range(1).select(is_valid_utf8(F.lit(None).cast("string")), is_json(F.lit(None).cast("string"))).first()
    assert row is not None
    assert tuple(row) == (None, False)


JSON = {
    b'{"a": 1}': True,
    b'{"a": {"b": [1, null]}}': True,
    b"{}": True,
    b"[]": True,
    b'["a", {"b": 1}]': True,
    b"[1, 2": False,
    b"[sic]": False,
    b"{a}": False,
    b'{"a": 1': False,
    b"{'a': 1}": False,
    b"[Remastered] 1999": False,
}


def test_texts_that_are_json(spark: SparkSession) -> None:
    assert answers(spark, list(JSON), is_json(F.col("text"))) == JSON


@pytest.mark.parametrize(
    ("type_", "expected"),
    [
        ("double", {b"1": 1.0, b" -1.5e3 ": -1500.0, b".5": 0.5, b"1e999": float("inf"), b"one": None, b"": None}),
        ("float", {b"1": 1.0, b"1e60": float("inf"), b"0x1": None}),
        (
            "timestamp",
            {
                b"2026-01-02": datetime(2026, 1, 2),
                b"2026-01-02 03:04:05": datetime(2026, 1, 2, 3, 4, 5),
                b"2026-01-02T03:04:05+01:00": datetime(2026, 1, 2, 2, 4, 5),
                b"2026-13-02": None,
                b"yesterday": None,
            },
        ),
    ],
)
def test_a_cast_that_cannot_fail(spark: SparkSession, type_: str, expected: dict[bytes, object]) -> None:
    answer = try_cast(F.col("text"), type_)
    if type_ == "timestamp":  # as a Python value it would be in the zone of this machine
        answer = F.date_format(answer, "yyyy-MM-dd HH:mm:ss")
        expected = {text: None if time is None else f"{time:%F %T}" for text, time in expected.items()}
    assert answers(spark, list(expected), answer) == expected


def test_a_decimal_becomes_the_same_text(spark: SparkSession) -> None:
    """Without the ANSI mode, Spark 3.5 would write 0E-8: another value of a categorical field."""
    row = spark.range(1).select(F.lit("0").cast("decimal(10,8)").cast("string").alias("text")).first()
    assert row is not None
    assert row.text == "0.00000000"


def test_a_struct_is_parsed(spark: SparkSession) -> None:
    assert parse_struct("STRUCT<a: INT, b: ARRAY<STRING>>").simpleString() == "struct<a:int,b:array<string>>"
