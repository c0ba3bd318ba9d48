"""The same rows are the same events, whatever format and dialect they are written in."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from pyspark.sql import SparkSession

from afm_core.errors import LogsError
from pipelines.logs.checking import check_logs
from pipelines.logs.log_columns import LogColumns
from pipelines.logs.reading import read_logs
from pipelines.logs.values import tag_values
from tests.support.reading import settings_of
from tests.support.typed_tables import FIELDS, TABLES, WRITERS, Written, generated


def events(spark: SparkSession, folder: Path, table: pa.Table, written: Written) -> tuple[list[tuple], dict[str, int]]:
    """Accepted events, and the rejected ones by reason."""
    folder.mkdir()
    written.write(table, folder / "logs")
    of_format = settings_of(folder, folder / "logs", FIELDS, max_rejected=1.0, **written.logs)
    columns = LogColumns.of(of_format, labelled=False)
    judged = check_logs(read_logs(spark, of_format.logs, columns), of_format, columns, folder)
    *names, tags = judged.accepted.columns
    rows = judged.accepted.select(*names, tag_values(of_format.field(tags)).alias(tags)).collect()
    plain = [tuple(sorted(value) if isinstance(value, list) else value for value in row) for row in rows]
    return sorted(plain, key=str), judged.rejected


@pytest.mark.parametrize("examples", [2, pytest.param(40, marks=pytest.mark.long)])
def test_formats_agree(spark: SparkSession, tmp_path: Path, examples: int) -> None:
    done = 0

    @generated(examples)
    @given(TABLES)
    def agree(table: pa.Table) -> None:
        nonlocal done
        done += 1
        found = {name: events(spark, tmp_path / f"{done} {name}", table, written) for name, written in WRITERS.items()}
        expected = found["parquet of pyarrow"]
        for name, rows in found.items():
            assert rows == expected, name

    agree()


NESTED = {
    "struct": pa.array([{"a": 1}]),
    "lists of lists": pa.array([[["a"]]]),
    "map": pa.array([[("a", 1)]], pa.map_(pa.string(), pa.int64())),
    "list of structs": pa.array([[{"a": 1}]]),
}


@pytest.mark.parametrize("field", ["plain", {"name": "plain", "kind": "tags"}])
@pytest.mark.parametrize("nested", NESTED.values(), ids=NESTED)
def test_nested_values_are_refused(spark: SparkSession, tmp_path: Path, nested: pa.Array, field: Any) -> None:
    """By types, where a format has them, and by row in JSON."""
    table = pa.table({"user": ["u1"], "plain": nested})
    columns = ["user", field]
    for name in ("parquet of pyarrow", "ORC"):
        written = WRITERS[name]
        written.write(table, tmp_path / name)
        of_format = settings_of(tmp_path, tmp_path / name, columns, **written.logs)
        with pytest.raises(LogsError, match=r"column plain is (struct|array|map)<.*; allowed are plain values"):
            read_logs(spark, of_format.logs, LogColumns.of(of_format, labelled=False))
    rows = [
        {**row, "plain": dict(row["plain"]) if pa.types.is_map(nested.type) else row["plain"]}
        for row in table.to_pylist()
    ]
    (tmp_path / "a.json").write_text("".join(json.dumps(row) + "\n" for row in rows))
    of_format = settings_of(tmp_path, tmp_path / "a.json", columns, format="json", max_rejected=1.0)
    in_logs = LogColumns.of(of_format, labelled=False)
    with pytest.raises(LogsError, match=r"all 1 rows rejected \(not_a_value plain\); for example plain '.*; correct"):
        check_logs(read_logs(spark, of_format.logs, in_logs), of_format, in_logs, tmp_path)
