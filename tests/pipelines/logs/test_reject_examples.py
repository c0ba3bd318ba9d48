"""A message about rejected rows shows one of them, and where it is."""

import gzip
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pyspark.sql import SparkSession

from afm_core.errors import LogsError
from pipelines.logs.checking import check_logs
from pipelines.logs.log_columns import LogColumns
from pipelines.logs.reading import read_logs
from tests.support.reading import settings_of

TIME = [{"name": "hour", "kind": "time", "of": "at", "part": "hour"}]


def refused(
    spark: SparkSession, folder: Path, content: str | bytes | pd.DataFrame, fields: Any = None, **logs: Any
) -> str:
    path = folder / "day 1" / {"json": "a.json", "parquet": "a.parquet"}.get(logs.get("format", ""), "a,b.csv")
    path.parent.mkdir()
    if isinstance(content, pd.DataFrame):
        content.to_parquet(path)
    else:
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    settings = settings_of(folder, path.parent, fields, **logs)
    columns = LogColumns.of(settings, labelled=True)
    with pytest.raises(LogsError) as caught:
        check_logs(read_logs(spark, settings.logs, columns), settings, columns, path.parent)
    return str(caught.value).replace(f"{folder}/", "")


@pytest.mark.parametrize(
    ("content", "logs", "shown"),
    [
        ("user,item\nu1,i1\n\nu2,i2\t,\n", {}, r"for example line 4 of day 1/a,b.csv: 'u2,i2\t,'; correct the logs"),
        ("u1,i1\nu2\nu2\n", {"columns": ["user", "item"]}, "for example line 2 of day 1/a,b.csv: 'u2'; "),
        ("é,user,item\né\nü,a,b\n".encode("latin-1"), {"encoding": "latin-1"}, "line 2 of day 1/a,b.csv: 'é'; "),
        (
            '{"user": "u1"}\n{"user": u2}\n',
            {"format": "json"},
            "for example line 2 of day 1/a.json: '{\"user\": u2}'; ",
        ),
        (
            'user,item\nu1,"a\nb"\n',
            {},
            "line 3 of day 1/a,b.csv: 'b\"'; if quoted values contain line ends, set logs.multiline; correct",
        ),
        (f"user,item\nu{'x' * 200}\n", {}, f"line 2 of day 1/a,b.csv: 'u{'x' * 119}...'; "),
        ("user,item\nu\x1b[31m,i\n", {}, r"for example user 'u\x1b[31m' in day 1/a,b.csv; correct the logs"),
    ],
)
def test_the_line_is_shown(
    spark: SparkSession, tmp_path: Path, content: str | bytes, logs: dict[str, Any], shown: str
) -> None:
    assert shown in refused(spark, tmp_path, content, **logs)


def test_the_most_frequent_reason_is_shown_with_what_is_accepted(spark: SparkSession, tmp_path: Path) -> None:
    frame = pd.DataFrame({"at": ["2026-01-01", "14102123", "14102122", "x\ty"], "user": ["u"] * 4})
    message = refused(spark, tmp_path, frame, ["user", *TIME], format="parquet")
    assert "not_a_timestamp at 3" in message
    assert "for example at '14102122' in day 1/a.parquet; accepted are ISO 8601 and seconds since 1970" in message


def test_lines_of_compressed_files_have_numbers(spark: SparkSession, tmp_path: Path) -> None:
    path = tmp_path / "a.csv.gz"
    path.write_bytes(gzip.compress(b"user,item\n" + b"u,i\n" * 1000 + b"u,i,x\n"))
    settings = settings_of(tmp_path, path)
    columns = LogColumns.of(settings, labelled=False)
    with pytest.raises(LogsError, match=r"for example line 1,002 of .*a\.csv\.gz: 'u,i,x'"):
        check_logs(read_logs(spark, settings.logs, columns), settings, columns, path)
