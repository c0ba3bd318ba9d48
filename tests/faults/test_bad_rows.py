"""Every kind of damage that logs come with: parsed right, quarantined with a reason, or stopped with one clear line."""

import gzip
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from afm_core.errors import LogsError
from afm_core.features import Tags
from afm_core.settings import Settings, load_settings
from pipelines.logs.checking import CheckedLogs, check_logs
from pipelines.logs.columns import column
from pipelines.logs.reading import read_logs, wanted_columns
from pipelines.logs.values import label_value, tag_values, timestamp
from pipelines.spark import one_line_errors, spark_session
from tests.conftest import write_config

GOOD = ("u9", "a9")
MALFORMED = ("malformed", None)
ONE_MB = "x" * (1 << 20)
TAGS = ["user", "app", {"name": "tags", "kind": "tags"}]
PRICE = ["user", "app", {"name": "price", "kind": "numeric"}]
HOUR = ["user", "app", {"name": "hour", "kind": "time", "of": "ts", "part": "hour"}]
NUMBERS = ["user", {"name": "app", "type": "integer"}]


@dataclass(frozen=True)
class Case:
    """Files below `logs/`, and what must become of them: the accepted and the rejected rows, or an error."""

    files: Mapping[str, Any]
    """Text or bytes of a csv file (or of whatever `logs` says), or a table to write as Parquet."""
    accepted: list[tuple] = field(default_factory=list)
    rejected: list[tuple[str, str | None]] = field(default_factory=list)
    error: str = ""
    logs: Mapping[str, Any] = field(default_factory=dict)
    fields: list = field(default_factory=lambda: ["user", "app"])
    label: Mapping[str, Any] = field(default_factory=dict)
    meanwhile: Callable[[Path], None] | None = None
    """What happens to the folder after the files are listed and before they are read."""


def csv(text: str | bytes, *accepted: tuple, **rest: Any) -> Case:
    return Case({"a.csv": text}, list(accepted), **rest)


def json_lines(*lines: object, **rest: Any) -> Case:
    text = "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines)
    return Case({"a.json": text}, logs={"format": "json"}, **rest)


def parquet(*tables: dict[str, Any], **rest: Any) -> Case:
    return Case(
        {f"{at}.parquet": pa.table(table) for at, table in enumerate(tables)}, **rest, logs={"format": "parquet"}
    )


def log(tags: object = None, **values: object) -> dict[str, object]:
    return {"user": "u1", "app": "a1", **({} if tags is None else {"tags": tags}), **values}


def values(column: str, *texts: str) -> str:
    return f"user,app,{column}\n" + "".join(f"u{at},a,{text}\n" for at, text in enumerate(texts))


CASES = {
    # Encodings
    "bytes that are not UTF-8": csv(
        b"user,app\nu1,caf\xe9\nu9,a9\n\xff\xfe,a1\n", GOOD, rejected=[("not_utf8", "app"), ("not_utf8", "user")]
    ),
    "bytes that are not UTF-8, separator in a value": csv(
        b"u1,caf\xe9\nu9,a9\n",
        GOOD,
        rejected=[("not_utf8", "app")],
        logs={"columns": ["user", "app"], "separator_in": "app"},
    ),
    "bytes that are not UTF-8 in a key": csv(
        b"user,app,id\nu1,a1,\xe9\nu9,a9,1\n", ("1", *GOOD), rejected=[("not_utf8", "id")], logs={"keys": ["id"]}
    ),
    "bytes that are not UTF-8 in parquet": parquet(
        {"user": ["u1", "u9"], "app": pa.array([b"\xe9", b"a9"], pa.binary())},
        accepted=[GOOD],
        rejected=[("not_utf8", "app")],
    ),
    "UTF-16": csv("user,app\nu1,a1\n".encode("utf-16"), error="column user, app missing; found: "),
    "an image": csv(b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 40, error="column user, app missing; found: "),
    "letters of all kinds": csv(
        "user,app\nü1,日本 🎉\nu2,\u00a0a\u2028b\u0085\n", ("ü1", "日本 🎉"), ("u2", "\u00a0a\u2028b\u0085")
    ),
    "BOM before the header": csv("\ufeffuser,app\nu1,a1\n", ("u1", "a1")),
    "BOM without a header": csv("\ufeffu1,a1\n", ("u1", "a1"), logs={"columns": ["user", "app"]}),
    "BOM before some of the headers": Case(
        {"a.csv": "\ufeffuser,app\nu1,a1\n", "b.csv": "user,app\nu2,a2\n"}, [("u1", "a1"), ("u2", "a2")]
    ),
    "NUL and other control characters": csv(
        "user,app\nu1,a\0b\n\0u2,a2\nu3,\x1b[0m\nu4,a\tb\nu\x1f5,a5\n",
        ("u4", "a\tb"),
        rejected=[
            ("control_character", "app"),
            ("control_character", "app"),
            ("control_character", "user"),
            ("control_character", "user"),
        ],
    ),
    "our own mark of a list": csv(
        "user,app,tags\nu1,a1,\x1fx|y\nu2,a2,x\x1fy\nu9,a9,x|y\n",
        (*GOOD, ("x", "y")),
        rejected=[("control_character", "tags")] * 2,
        fields=TAGS,
    ),
    "our own mark of a list in lists": json_lines(
        log(["x\x1fy"]),
        log("\x1fx"),
        log(["x", "y"]),
        accepted=[("u1", "a1", ("x", "y"))],
        rejected=[("control_character", "tags")] * 2,
        fields=TAGS,
    ),
    "a string of 1 MB": csv(
        f"user,app\nu1,{ONE_MB}\n{ONE_MB},a1\nu9,a9\n", GOOD, rejected=[("too_long", "app"), ("too_long", "user")]
    ),
    "a string of 1 MB in a column that nobody reads": csv(f"user,app,x\nu9,a9,{ONE_MB}\n", GOOD),
    # Quotes
    "separators and doubled quotes inside quotes": csv(
        'user,app\nu1,"a,""b"""\n"u,2",a2\nu3,""""\n"u4","a4" \n',
        ("u1", 'a,"b"'),
        ("u,2", "a2"),
        ("u3", '"'),
        ("u4", "a4"),
    ),
    "a quoted header": csv('"user","app"\nu1,a1\n', ("u1", "a1")),
    # Lines are read apart, so that large files can be: both halves of such a row are kept in the rejects.
    "quotes over lines, last column": csv('user,app\nu1,"a\n1"\nu9,a9\n', GOOD, rejected=[MALFORMED] * 2),
    "quotes over lines, first column": csv('user,app\n"u\n1",a1\nu9,a9\n', GOOD, rejected=[MALFORMED] * 2),
    "quotes over lines, no header": csv(
        'u1,"\na,1"\nu9,a9\n', GOOD, rejected=[MALFORMED] * 2, logs={"columns": ["user", "app"]}
    ),
    "an unbalanced quote": csv('user,app\nu1,"a1\n"u2,a2\nu3,a3"\nu9,a9\n', GOOD, rejected=[MALFORMED] * 3),
    "a quote inside a value": csv(
        'user,app\nu1,5" disk\nu2,3" x 5" "disk" y\n', ("u1", '5" disk'), ("u2", '3" x 5" "disk" y')
    ),
    # Rows
    "too few and too many columns": csv("user,app\nu1\nu2,a2,x\nu9,a9\n", GOOD, rejected=[MALFORMED] * 2),
    "too few and too many columns, no header": csv(
        "u1\nu2,a2,x\nu9,a9\n", GOOD, rejected=[MALFORMED] * 2, logs={"columns": ["user", "app"]}
    ),
    "more columns than the parser has room for": csv(
        f"user,app\nu1{',' * 30_000}\nu9,a9\n", GOOD, rejected=[MALFORMED]
    ),
    "CRLF": csv('user,app\r\nu1,a1\r\n"u2","a2"\r\n', ("u1", "a1"), ("u2", "a2")),
    "blank lines are no rows": csv("\nuser,app\n\nu1,a1\n   \nu2,a2\n\n", ("u1", "a1"), ("u2", "a2")),
    "no line end at the end": csv("user,app\nu1,a1", ("u1", "a1")),
    "a separator at the end of lines": csv("user,app\nu1,a1,\nu9,a9\n", GOOD, rejected=[MALFORMED]),
    "a separator at the end of lines and header": csv("user,app,\nu1,a1,\n", ("u1", "a1")),
    "tabs": csv(
        "user\tapp\nu1\ta,1\nu2\t\nu9\ta9\n",
        ("u1", "a,1"),
        GOOD,
        rejected=[("missing", "app")],
        logs={"separator": "\t"},
    ),
    "a separator that patterns take for something else": csv(
        'user|app\nu1|"a|1"\nu2|"a\nu9|a9\n', ("u1", "a|1"), GOOD, rejected=[MALFORMED], logs={"separator": "|"}
    ),
    "separator in a value": csv(
        "u1,a,b,1\nu2,2\n\nu9,a9,9\n",
        ("u1", "a,b", "1"),
        (*GOOD, "9"),
        rejected=[MALFORMED],
        logs={"columns": ["user", "value", "n"], "separator_in": "value"},
        fields=["user", {"name": "app", "column": "value"}, "n"],
    ),
    "all rows blank": csv("user,app\n,\n , \n", error="2 rows rejected"),
    "a column of missing values": csv(
        "user,app,place\nu1,a1,\nu2,a2, \n",
        error="column place is absent or empty in all 2 rows",
        fields=["user", "app", "place"],
    ),
    "a column whose only value is in a rejected row": csv(
        "user,app,place\nu1,a1,\n,a2,p\n",
        error="column place is absent or empty in all 1 rows",
        fields=["user", "app", "place"],
    ),
    "too many rejects": csv(
        "user,app\nu1,a1\nu2\n", error="1 of 2 rows rejected (50.00%; malformed 1)", logs={"max_rejected": 0.1}
    ),
    # Headers
    "a column twice": csv("user,app,User\nu1,a1,u2\n", error="the header names user, User more than once"),
    "a column twice in the settings": csv(
        "u1,a1,u2\n", error="logs.columns names user more than once", logs={"columns": ["user", "app", "user"]}
    ),
    "columns that end in their number": csv(
        "f0,f1\nu1,a1\n", ("u1", "a1"), fields=[{"name": "user", "column": "f0"}, {"name": "app", "column": "f1"}]
    ),
    "no header, but one is expected": csv("u1,a1\nu2,a2\n", error="column user, app missing; found: u1, a1"),
    "names with blanks, dots and backticks": csv(
        "user id,a.b,x`y\nu1,a1,p1\n",
        ("u1", "a1", "p1"),
        fields=[
            {"name": "user", "column": "user id"},
            {"name": "app", "column": "a.b"},
            {"name": "place", "column": "x`y"},
        ],
    ),
    "names that are ours": csv(
        "user,app,reject,value\nu1,a1,r1,v1\n", ("u1", "a1", "r1", "v1"), fields=["user", "app", "reject", "value"]
    ),
    "a header only": csv("user,app\n", error="holds no rows"),
    "other headers": Case(
        {"a.csv": "user,app\nu1,a1\nu2,a2\n", "b.csv": "app,user\na1,u1\n"}, error="b.csv: cannot be read: CSV header"
    ),
    # Files
    "an empty file among good ones": Case(
        {"a.csv": "", "b.csv": "user,app\nu1,a1\n", "c.csv": "user,app\n"}, [("u1", "a1")]
    ),
    "only empty files": Case({"a.csv": "", "b.csv": "\n"}, error="missing; found: none"),
    "an empty dt folder": Case({"dt=2026-01-01/a.csv": "user,app\nu1,a1\n", "dt=2026-01-02/": ""}, [("u1", "a1")]),
    "hidden files": Case(
        {"a.csv": "user,app\nu1,a1\n", "_SUCCESS": "x", ".a.csv.crc": "x", "_tmp/b.csv": "x"}, [("u1", "a1")]
    ),
    "only hidden files": Case({"_tmp/a.csv": "user,app\nu1,a1\n"}, error="an empty folder"),
    "a hidden file": Case({"_a.csv": "user,app\nu1,a1\n"}, logs={"path": "_a.csv"}, error="rename the file"),
    "gzip": Case({"a.csv.gz": gzip.compress(b"user,app\nu1,a1\n")}, [("u1", "a1")]),
    "gzip that ends too early": Case(
        {"a.csv.gz": gzip.compress(b"user,app\n" + b"".join(b"u%d,a\n" % at for at in range(9999)))[:-3000]},
        error="a.csv.gz: cannot be read: ",
    ),
    "no gzip at all": Case({"a.csv.gz": "user,app\nu1,a1\n"}, error="a.csv.gz: cannot be read: "),
    "a file deleted under way": Case(
        {"a.csv": "user,app\nu1,a1\n", "b.csv": "user,app\nu2,a2\n"},
        error="a.csv",
        meanwhile=lambda folder: (folder / "a.csv").unlink(),
    ),
    "a parquet file deleted under way": parquet(
        {"user": ["u1"], "app": ["a1"]},
        {"user": ["u2"], "app": ["a2"]},
        error="1.parquet",
        meanwhile=lambda folder: (folder / "1.parquet").unlink(),
    ),
    "a file and folders of days": Case(
        {"a.csv": "user,app\nu1,a1\n", "dt=2026-01-01/a.csv": "user,app\nu1,a1\n"}, error="a.csv: lies outside the dt="
    ),
    "files in folders below": Case(
        {f"{folder}a.csv": f"user,app\nu{at},a\n" for at, folder in enumerate(("", "x/", "x/y/"))},
        [("u0", "a"), ("u1", "a"), ("u2", "a")],
    ),
    "folders that are no days": Case(
        {"dt=20260101/a.csv": "user,app\nu1,a1\n"},
        logs={"first_date": "2026-01-01"},
        error="dt=20260101: logs.first_date and logs.last_date need folders named dt=YYYY-MM-DD",
    ),
    "no day in the dates": Case(
        {"dt=2026-01-01/a.csv": "user,app\nu1,a1\n"},
        logs={"first_date": "2026-01-02"},
        error="holds no rows from 2026-01-02 to the last; correct logs.first_date",
    ),
    "dates without days": csv("user,app\nu1,a1\n", logs={"first_date": "2026-01-02"}, error="none found"),
    # Values
    "numbers": csv(
        values("price", "1.5", "-2", "+.5", "1e3", " 7. ", "", "0")
        + "".join(
            f"x,a,{text}\n"
            for text in ("NaN", "inf", "-Infinity", "1e400", "0x1F", '"1,000"', "1_000", "1d", "null", "1e-")
        ),
        *[(f"u{at}", "a", text) for at, text in enumerate(("1.5", "-2", "+.5", "1e3", "7.", None, "0"))],
        rejected=[("not_a_number", "price")] * 10,
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
        rejected=[("missing", "y"), *[("not_a_label", "y")] * 3],
        label={"column": "y"},
    ),
    "labels in a range": csv(
        values("y", "1", "5", "3", "0.9", "6", "nan"),
        ("u0", "a", -1.0),
        ("u1", "a", 1.0),
        ("u2", "a", 0.0),
        rejected=[("not_a_label", "y")] * 3,
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
        ("u5", "a", "1969-12-31 23:59:59"),
        ("u6", "a", "2028-02-29 00:00:00"),
        ("u7", "a", None),
        rejected=[("not_a_timestamp", "ts")] * 7,
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
        accepted=[("3", "true"), ("12345678901234567890123", "1.10")],
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
        accepted=[("u1", "a1", "2.5")],
        rejected=[("not_a_number", "price")] * 2,
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
        accepted=[("1", "7", "1.5", "2026-01-02 03:04:05.0006", "1.50", "true")],
        rejected=[("missing", "user"), ("not_a_number", "price")],
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
        {"user": [1], "app": ["a1"]},
        {"user": ["u2"], "app": ["a2"]},
        error="column user is bigint in some files and string in others",
    ),
    "lists where a value is needed": parquet({"user": ["u1"], "app": [["a1"]]}, error="column app is array<string>"),
    "times in nanoseconds": parquet(
        {"user": ["u1"], "app": ["a1"], "ts": pa.array([1], pa.timestamp("ns"))},
        error="write times in microseconds",
        fields=HOUR,
    ),
    "names that differ in case only": parquet(
        {"user": ["u1"], "USER": ["u2"], "app": ["a1"]}, error="logs: cannot be read: The column `user` already exists"
    ),
    "text that is no parquet": Case({"a.parquet": "user,app\nu1,a1\n"}, logs={"format": "parquet"}, error="a.parquet"),
}


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    """One Spark for all cases."""
    with spark_session("bad rows", tmp_path_factory.getbasetemp() / "spark.log", "local[2]") as session:
        session.conf.set("spark.sql.shuffle.partitions", "1")
        yield session


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_bad_rows(session: SparkSession, tmp_path: Path, case: Case) -> None:
    settings = written(case, tmp_path)
    if case.error:
        with pytest.raises(LogsError) as caught:
            judged(session, settings, case, tmp_path)
        assert case.error in str(caught.value)
        assert "\n" not in str(caught.value)
        return
    checked = judged(session, settings, case, tmp_path)
    rows = shown(checked.accepted, settings).collect()
    accepted = [tuple(tuple(value) if isinstance(value, list) else value for value in row) for row in rows]
    rejects = checked.rejects.collect()
    assert sorted(accepted, key=repr) == sorted(case.accepted, key=repr)
    assert sorted(((row["rule"], row["column"]) for row in rejects), key=repr) == sorted(case.rejected, key=repr)
    assert checked.rows_in == len(accepted) + len(rejects)
    assert checked.rows_accepted == len(accepted)
    assert all(row["raw"] and row["file"] for row in rejects)


def written(case: Case, folder: Path) -> Settings:
    for name, content in case.files.items():
        file = folder / "logs" / name
        if name.endswith("/"):
            file.mkdir(parents=True)
            continue
        file.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, pa.Table):
            pq.write_table(content, file)
        else:
            file.write_bytes(content if isinstance(content, bytes) else content.encode())
    path = folder / "logs" / case.logs.get("path", "")
    logs = {"max_rejected": 1.0, "keys": [], "last_date": None, **case.logs, "path": str(path)}
    negatives = {"per_positive": 0} if case.label else {}
    return load_settings(
        write_config(folder, folder, logs=logs, fields=case.fields, label=dict(case.label), negatives=negatives)
    )


def judged(session: SparkSession, settings: Settings, case: Case, folder: Path) -> CheckedLogs:
    session.catalog.clearCache()
    with one_line_errors(folder / "spark.log"):
        raw = read_logs(session, settings, labelled=True)
        if case.meanwhile:
            case.meanwhile(folder / "logs")
        return check_logs(raw, settings, settings.logs.path, labelled=True)


def shown(accepted: DataFrame, settings: Settings) -> DataFrame:
    """The accepted columns in their order, with what tags, times and labels mean instead of their text."""
    meanings = {}
    for declared in settings.fields:
        if isinstance(declared, Tags):
            meanings[declared.source] = F.sort_array(tag_values(declared))
        if declared.kind == "time":
            meanings[declared.of] = timestamp(column(declared.of)).cast("string")
    if settings.label.column:
        meanings[settings.label.column] = label_value(settings.label)
    return accepted.select(*[meanings.get(name, column(name)) for name in wanted_columns(settings, labelled=True)])
