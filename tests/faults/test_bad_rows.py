"""Every kind of damage that logs come with: parsed right, quarantined with a reason, or stopped with one clear line."""

from pathlib import Path

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
from pipelines.logs.log_columns import LogColumns
from pipelines.logs.reading import read_logs
from pipelines.logs.values import label_value, tag_values, timestamp
from pipelines.spark_errors import one_line_errors
from tests.faults.bad_lines import LINES
from tests.faults.bad_rows import Case
from tests.faults.bad_values import VALUES
from tests.support.config import write_config

CASES = {**LINES, **VALUES}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_bad_rows(spark: SparkSession, tmp_path: Path, case: Case) -> None:
    settings = written(case, tmp_path)
    if case.error:
        with pytest.raises(LogsError) as caught:
            judged(spark, settings, case, tmp_path)
        assert case.error in str(caught.value)
        assert "\n" not in str(caught.value)
        return
    checked = judged(spark, settings, case, tmp_path)
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
        write_config(
            folder, folder / "nights", logs=logs, fields=case.fields, label=dict(case.label), negatives=negatives
        )
    )


def judged(spark: SparkSession, settings: Settings, case: Case, folder: Path) -> CheckedLogs:
    with one_line_errors(folder / "spark.log"):
        columns = LogColumns.of(settings, labelled=True)
        raw = read_logs(spark, settings.logs, columns)
        if case.meanwhile:
            case.meanwhile(folder / "logs")
        return check_logs(raw, settings, columns, settings.logs.path)


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
    return accepted.select(*[meanings.get(name, column(name)) for name in LogColumns.of(settings, labelled=True).names])
