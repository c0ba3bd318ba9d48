"""The same rows are the same events, whatever format and dialect they are written in."""

from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from pyspark.sql import SparkSession

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
