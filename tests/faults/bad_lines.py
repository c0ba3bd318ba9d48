"""Damage to text: encodings, quotes, rows, headers, files."""

import gzip

import pyarrow as pa

from pipelines.spark_compat import IS_SPARK_3
from tests.faults.bad_rows import GOOD, MALFORMED, ONE_MB, TAGS, Case, csv, json_lines, log, parquet

LINES = {
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
    "UTF-16": csv(
        "user,app\nu1,a1\n".encode("utf-16"),
        error="begins as UTF-16, and logs.encoding is utf-8; set logs.encoding: utf-16",
    ),
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
        "user,app,reject,value,_text\nu1,a1,r1,v1,t1\n",
        ("u1", "a1", "r1", "v1", "t1"),
        fields=["user", "app", "reject", "value", {"name": "text", "column": "_text"}],
    ),
    "a header only": csv("user,app\n", error="holds no rows"),
    "other headers": Case(
        {"a.csv": "user,app\nu1,a1\nu2,a2\n", "b.csv": "app,user\na3,u3\n"}, [("u1", "a1"), ("u2", "a2"), ("u3", "a3")]
    ),
    "a header that lacks a column": Case(
        {"a.csv": "user,app\nu1,a1\nu2,a2\n", "b.csv": "user\nu3\n"},
        error="b.csv: column app missing, which other files",
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
        error="Unexpected end of input stream" if IS_SPARK_3 else "a.csv.gz: cannot be read: ",
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
        {"a.csv": "user,app\nu1,a1\n", "dt=2026-01-01/a.csv": "user,app\nu1,a1\n"}, error="a.csv: lies beside dt="
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
}
