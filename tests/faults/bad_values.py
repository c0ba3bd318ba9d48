"""Damage to values: numbers, labels, times, and what JSON and Parquet can hold."""

import json
from datetime import datetime
from decimal import Decimal

import pyarrow as pa

from pipelines.spark_compat import IS_SPARK_3
from tests.faults.bad_rows import (
    GOOD,
    HOUR,
    MALFORMED,
    NUMBERS,
    PRICE,
    TAGS,
    Case,
    csv,
    json_lines,
    log,
    parquet,
    values,
)

VALUES = {
    # Values
    "numbers": csv(
        values("price", "1.5", "-2", "+.5", "1e3", " 7. ", "", "0")
        + "".join(
            f"x,a,{text}\n"
            for text in ("NaN", "inf", "-Infinity", "1e400", "0x1F", '"1,000"', "1_000", "1d", "null", "1e-")
        ),
        *[(f"u{at}", "a", text) for at, text in enumerate(("1.5", "-2", "+.5", "1e3", "7.", None, "0"))],
        *[("x", "a", None)] * 2,
        rejected=[("not_a_number", "price")] * 8,
        fields=PRICE,
    ),
    "numbers that must be there": csv(
        values("price", "1", "", "x"),
        ("u0", "a", "1"),
        rejected=[("missing", "price"), ("not_a_number", "price")],
        fields=["user", "app", {"name": "price", "kind": "numeric", "missing": "reject"}],
    ),
    "integers": csv(
        "user,app\n"
        + "".join(f"u,{text}\n" for text in ("1", "-3", "007", str(10**30), "+1", "1.0", "1e3", "x", "0x1")),
        ("u", "1"),
        ("u", "-3"),
        ("u", "007"),
        ("u", str(10**30)),
        rejected=[("not_an_integer", "app")] * 5,
        fields=NUMBERS,
    ),
    "labels": csv(
        values("y", "1", "0", "-1", "true", "FALSE", "1.0", "yes", "2", "", "NaN"),
        *[(f"u{at}", "a", label) for at, label in enumerate((1.0, -1.0, -1.0, 1.0, -1.0, 1.0))],
        rejected=[("missing", "y")] * 2 + [("not_a_label", "y")] * 2,
        label={"column": "y"},
    ),
    "labels in a range": csv(
        values("y", "1", "5", "3", "0.9", "6", "nan"),
        ("u0", "a", -1.0),
        ("u1", "a", 1.0),
        ("u2", "a", 0.0),
        rejected=[("missing", "y")] + [("not_a_label", "y")] * 2,
        label={"column": "y", "range": [1, 5]},
    ),
    "weights": csv(
        "user,app,y,w\n" + "".join(f"u,a,1,{text}\n" for text in ("2", "0.5", "0", "-1", "NaN", "", "1e39", "inf")),
        ("u", "a", 1.0, "2"),
        ("u", "a", 1.0, "0.5"),
        ("u", "a", 1.0, "0"),
        rejected=[("not_a_weight", "w")] * 5,
        label={"column": "y", "weight": "w"},
    ),
    "times": csv(
        values(
            "ts",
            "2026-01-02T03:04:05+02:00",
            "2026-01-02 03:04:05",
            "2026-01-02",
            "1767322800",
            "1767322800.5",
            "-1",
            "2028-02-29",
            "",
        )
        + "".join(
            f"x,a,{text}\n"
            for text in (
                "2026-02-29",
                "2026-13-01",
                "12:30",
                "2026",
                "yesterday",
                "1767322800000",
                "20260102",
                "2026-01-02T25:00:00",
            )
            if text != "2026"
        ),
        ("u0", "a", "2026-01-02 01:04:05"),
        ("u1", "a", "2026-01-02 03:04:05"),
        ("u2", "a", "2026-01-02 00:00:00"),
        ("u3", "a", "2026-01-02 03:00:00"),
        ("u4", "a", "2026-01-02 03:00:00.5"),
        ("u6", "a", "2028-02-29 00:00:00"),
        ("u7", "a", None),
        rejected=[("not_a_timestamp", "ts")] * 8,
        fields=HOUR,
    ),
    # JSON lines
    "broken lines": json_lines(
        log(), '{"user": "u2", "app"', "[1", "", "text", "7", "null", accepted=[("u1", "a1")], rejected=[MALFORMED] * 5
    ),
    "BOM before JSON": json_lines("\ufeff" + json.dumps(log()), accepted=[("u1", "a1")]),
    "bytes of JSON that are not UTF-8": Case(
        {"a.json": b'{"user": "u1", "app": "caf\xe9"}\n{"user": "u9", "app": "a9"}\n'},
        [GOOD],
        [MALFORMED],
        logs={"format": "json"},
    ),
    "null, missing, numbers, booleans": json_lines(
        {"user": None, "app": "a1"},
        {"user": "u2"},
        {"user": 3, "app": True},
        {"user": 4.50, "app": ""},
        '{"user": 12345678901234567890123, "app": 1.10}',
        {"User": "u6", "app": "a6"},
        accepted=[("3", "true"), ("12345678901234567890123", "1.1" if IS_SPARK_3 else "1.10")],
        rejected=[("missing", "app"), ("missing", "app"), ("missing", "user"), ("missing", "user")],
    ),
    "nested values": json_lines(
        log(app={"id": 1}),
        log(app=["a", "b"]),
        log(app="[a] {b}"),
        log(app="{"),
        accepted=[("u1", "[a] {b}"), ("u1", "{")],
        rejected=[("not_a_value", "app")] * 2,
    ),
    "tags in JSON": json_lines(
        log(["a|b", " c ", None, "", "a|b"]),
        log([]),
        log([None]),
        log("x|y"),
        log("[x] y|z"),
        log([1, 2.5, True]),
        log(),
        accepted=[
            ("u1", "a1", ("a|b", "c")),
            ("u1", "a1", None),
            ("u1", "a1", None),
            ("u1", "a1", ("x", "y")),
            ("u1", "a1", ("[x] y", "z")),
            ("u1", "a1", ("1", "2.5", "true")),
            ("u1", "a1", None),
        ],
        fields=TAGS,
    ),
    "nested tags in JSON": json_lines(
        log({"a": 1}),
        log([["a"], "b"]),
        log([{"a": 1}]),
        log(["a"]),
        accepted=[("u1", "a1", ("a",))],
        rejected=[("not_a_value", "tags")] * 3,
        fields=TAGS,
    ),
    "NaN in JSON": json_lines(
        '{"user": "u1", "app": "a1", "price": NaN}',
        log(price=1e300),
        log(price="2.5"),
        accepted=[("u1", "a1", None), ("u1", "a1", "2.5")],
        rejected=[("not_a_number", "price")],
        fields=PRICE,
    ),
    "JSON over lines": Case(
        {"a.json": json.dumps([log(), log()], indent=1)}, logs={"format": "json"}, error="rows rejected (malformed)"
    ),
    # Parquet
    "tags in parquet": parquet(
        {"user": ["u1", "u2", "u3", "u4"], "app": ["a"] * 4, "tags": [["a|b", None, " c "], [], None, [""]]},
        accepted=[("u1", "a", ("a|b", "c")), ("u2", "a", None), ("u3", "a", None), ("u4", "a", None)],
        fields=TAGS,
    ),
    "our own mark of a list in parquet": parquet(
        {"user": ["u1", "u2"], "app": ["a"] * 2, "tags": [["x\x1fy"], ["x", "y"]]},
        accepted=[("u2", "a", ("x", "y"))],
        rejected=[("control_character", "tags")],
        fields=TAGS,
    ),
    "types of parquet": parquet(
        {
            "user": pa.array([1, -2, None], pa.int32()),
            "app": pa.array([7, 8, 9], pa.uint64()),
            "price": [1.5, float("nan"), 1e20],
            "ts": pa.array([datetime(2026, 1, 2, 3, 4, 5, 600)] * 3, pa.timestamp("us")),
            "cost": pa.array([Decimal("1.50")] * 3, pa.decimal128(9, 2)),
            "ok": [True, False, None],
        },
        accepted=[
            ("-2", "8", None, "2026-01-02 03:04:05.0006", "1.5", "false"),
            ("1", "7", "1.5", "2026-01-02 03:04:05.0006", "1.5", "true"),
        ],
        rejected=[("missing", "user")],
        fields=[*PRICE, HOUR[2], {"name": "cost", "kind": "numeric"}, "ok"],
    ),
    "names with dots in parquet": parquet(
        {"user": ["u1"], "a.b": ["a1"], "t.s": [["x"]]},
        accepted=[("u1", "a1", ("x",))],
        fields=["user", {"name": "app", "column": "a.b"}, {"name": "tags", "kind": "tags", "column": "t.s"}],
    ),
    "a column in some parquet files only": parquet(
        {"user": ["u1"], "app": ["a1"]},
        {"app": ["a2"], "place": ["p2"], "user": ["u2"]},
        accepted=[("u1", "a1", None), ("u2", "a2", "p2")],
        fields=["user", "app", "place"],
    ),
    "a column of several types in parquet files": parquet(
        {"user": pa.array([1], pa.int32()), "app": ["a1"], "unused": pa.array([1], pa.timestamp("ns"))},
        {"user": pa.array([2**40], pa.int64()), "app": ["a2"]},
        {"user": [3.0], "app": ["a3"], "place": pa.array([None], pa.null())},
        {"user": ["u4"], "app": ["a4"], "place": ["p4"]},
        accepted=[("1", "a1", None), (str(2**40), "a2", None), ("3", "a3", None), ("u4", "a4", "p4")],
        fields=["user", "app", "place"],
    ),
    "times in nanoseconds that nobody reads": parquet(
        {"user": ["u1"], "app": ["a1"], "ts": pa.array([1], pa.timestamp("ns"))}, accepted=[("u1", "a1")]
    ),
    "lists where a value is needed": parquet({"user": ["u1"], "app": [["a1"]]}, error="column app is array<string>"),
    "times in nanoseconds": parquet(
        {"user": ["u1"], "app": ["a1"], "ts": pa.array([1_767_322_800_123_456_789], pa.timestamp("ns"))},
        accepted=[("u1", "a1", "2026-01-02 03:00:00.123456")],
        fields=HOUR,
    ),
    "names that differ in case only": parquet(
        {"user": ["u1"], "USER": ["u2"], "app": ["a1"]}, error="logs: cannot be read: The column `user` already exists"
    ),
    "text that is no parquet": Case({"a.parquet": "user,app\nu1,a1\n"}, logs={"format": "parquet"}, error="a.parquet"),
}
