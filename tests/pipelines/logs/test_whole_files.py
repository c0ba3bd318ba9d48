"""Files whose lines Spark cannot find: zstd, UTF-16, and values over several lines."""

import bz2
import gzip
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pydantic import ValidationError
from pyspark.sql import SparkSession

from afm_core.errors import LogsError
from afm_core.settings.data import LogsSettings
from pipelines.logs.checking import check_logs
from pipelines.logs.log_columns import LogColumns
from pipelines.logs.reading import read_logs
from pipelines.logs.whole_files import lines_of
from pipelines.spark_errors import one_line_errors
from tests.support.reading import read, settings_of

EXPECTED = [("u1", "i1"), ("u2", "\u0a0d\u010a"), ("\u0a0au", None)]
"""In UTF-16 these letters contain the bytes of line ends."""
TEXT = "user,item\n" + "".join(f"{user},{item or ''}\n" for user, item in EXPECTED)


def zstd(content: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(content)
    return sink.getvalue().to_pybytes()


FILES: dict[str, tuple[bytes, dict[str, Any]]] = {
    "a.csv.zst": (zstd(TEXT.encode()), {}),
    "latin.csv.zst": (zstd(b"user,item\nu1,\xe9\n"), {"encoding": "latin-1"}),
    "little.csv": (b"\xff\xfe" + TEXT.encode("utf-16-le"), {"encoding": "utf-16"}),
    "big.csv": (b"\xfe\xff" + TEXT.replace("\n", "\r\n").encode("utf-16-be"), {"encoding": "utf-16"}),
    "a.csv.gz": (gzip.compress(TEXT.encode("utf-16")), {"encoding": "utf-16"}),
    "a.csv.bz2": (bz2.compress(TEXT.encode()), {"multiline": True}),
    "bare.csv": (b"u1\ti1\r\nu2\t\n", {"multiline": True, "columns": ["user", "item"], "separator": "\t"}),
    "value.json.zst": (zstd(b'{"user": "u1", "value": "i1"}'), {"format": "json"}),
    "a.json.zst": (zstd(b'{"user": "u1", "item": 7}\n\n{"item": "i\\n2", "user": "u2"}\n'), {"format": "json"}),
}
FOUND = {
    "latin.csv.zst": [("u1", "\u00e9")],
    "bare.csv": [("u1", "i1"), ("u2", None)],
    "value.json.zst": [("u1", "i1")],
    "a.json.zst": [("u1", "7"), ("u2", "i\n2")],
}


@pytest.mark.parametrize("name", FILES)
def test_files_of_every_kind(spark: SparkSession, tmp_path: Path, name: str) -> None:
    content, logs = FILES[name]
    folder = tmp_path / "logs" / "place=home"
    folder.mkdir(parents=True)
    (folder / name).write_bytes(content)
    item = {"name": "item", "column": "value"} if name.startswith("value") else "item"
    rows = read(spark, settings_of(tmp_path, tmp_path / "logs", ["user", item, "place"], **logs))
    assert rows == sorted(((*row, "home") for row in FOUND.get(name, EXPECTED)), key=repr)


def test_quoted_values_may_contain_line_ends(spark: SparkSession, tmp_path: Path) -> None:
    """One row is malformed, and takes no other with it."""
    log = tmp_path / "logs.csv"
    log.write_bytes(
        b'user,item\nu1,"a\r\nb\n\n""c"""\n"\nu,2\n","x\ny"\nu3,5" disk\nu4,"open\nu5,i5\n"u6",6" disk\nu7,"z\n"\n'
    )
    settings = settings_of(tmp_path, log, multiline=True, max_rejected=1.0)
    columns = LogColumns.of(settings, labelled=False)
    checked = check_logs(read_logs(spark, settings.logs, columns), settings, columns, log)
    rows = {tuple(row) for row in checked.accepted.collect()}
    assert rows >= {("u1", 'a\r\nb\n\n"c"'), ("\nu,2\n", "x\ny"), ("u3", '5" disk')}
    assert checked.rejected == {"malformed": 1}
    (reject,) = checked.rejects.collect()
    assert reject.raw.startswith('u4,"open\nu5')


def test_lines() -> None:
    def lines(content: bytes, **logs: Any) -> list[bytes]:
        return lines_of(content, LogsSettings.model_validate({"path": "x", "multiline": True, **logs}))

    assert lines(b'a,"b\nc"\nd') == [b'a,"b\nc"', b"d"]
    assert lines(b'a,"b\nc') == [b'a,"b', b"c"], "a quote that nothing closes opens nothing"
    assert lines(b'a,b"\nc,"d\ne"') == [b'a,b"', b'c,"d\ne"'], "a quote within a value opens nothing"
    assert lines(b'"a\n""b\n"",\n"\rc') == [b'"a\n""b\n"",\n"', b"c"]
    assert lines(b'"a\\"\nb"\nc', escape="\\") == [b'"a\\"\nb"', b"c"]
    assert lines(b"'a\nb'\r\n\"c", quote="'", separator=";") == [b"'a\nb'", b'"c']
    assert lines(b'x::"a\nb"', separator="::") == [b'x::"a\nb"']
    assert lines(b"") == [b""]


def test_errors_name_the_file(spark: SparkSession, tmp_path: Path) -> None:
    for name, content, logs, error in (
        ("a.csv.zst", zstd(TEXT.encode() * 99)[:-9], {"columns": ["user", "item"]}, "a.csv.zst: cannot be read"),
        ("little.csv", FILES["little.csv"][0], {}, "little.csv: begins as UTF-16, and logs.encoding is utf-8"),
        ("big.csv", FILES["big.csv"][0], {"encoding": "latin-1"}, "begins as UTF-16, and logs.encoding is latin-1"),
        (
            "bare.csv",
            TEXT.encode("utf-16-be"),
            {"columns": ["a", "user", "item"], "encoding": "utf-16"},
            "without a byte",
        ),
        ("odd.csv", TEXT.encode("utf-16") + b"x", {"encoding": "utf-16"}, "odd.csv: cannot be read: 'utf-16"),
        (
            "c.csv.gz",
            b"\x1f\x8b\x08" + bytes(7) + b"no deflate",
            {"columns": ["user", "item"], "multiline": True},
            "c.csv",
        ),
        ("b.csv.lz4", b"x", {"columns": ["user", "item"], "multiline": True}, "cannot be .lz4; use .gz, .bz2 or .zst"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(LogsError, match=error), one_line_errors(tmp_path / "spark.log"):
            read(spark, settings_of(tmp_path, tmp_path / name, **logs))


@pytest.mark.parametrize("logs", [{"format": "json", "multiline": True}, {"quote": "", "multiline": True}])
def test_values_over_several_lines_need_quotes(logs: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="multiline is for CSV files with quotes"):
        LogsSettings.model_validate({"path": "x", **logs})
    with pytest.raises(ValidationError, match="encoding is for text"):
        LogsSettings.model_validate({"path": "x", "format": "orc", "encoding": "utf-16"})
