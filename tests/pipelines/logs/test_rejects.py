"""Rejected rows are found at a cost that does not grow faster than the columns."""

from pathlib import Path

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from afm_core.settings import load_settings
from pipelines.logs.log_columns import LogColumns
from pipelines.logs.reading import read_logs
from pipelines.logs.rules import REJECT, judge_logs
from tests.support.config import write_config

ROWS = 400


@pytest.fixture(params=[5, 200])
def judged(request: pytest.FixtureRequest, tmp_path: Path, spark: SparkSession) -> DataFrame:
    """Logs of many columns, five of them used, with one row that lacks its user."""
    names = ["user", "app", "daypart", "weekday", "place", *(f"c{number}" for number in range(5, request.param))]
    rows = [",".join(["" if row == 7 else f"u{row % 9}", *("v" for _ in names[1:])]) for row in range(ROWS)]
    logs = tmp_path / "logs.csv"
    logs.write_text("\n".join([",".join(names), *rows]) + "\n")
    settings = load_settings(write_config(tmp_path, logs, logs={"keys": [], "last_date": None}))
    columns = LogColumns.of(settings, labelled=False)
    return judge_logs(read_logs(spark, settings.logs, columns), settings, columns)


def plan_size(rows: DataFrame) -> int:
    """Number of characters of the optimised plan, in which an expression that is repeated is written again."""
    return len(rows._jdf.queryExecution().optimizedPlan().toString())


def test_a_filter_on_the_reject_does_not_repeat_the_rules(judged: DataFrame) -> None:
    rejects = judged.where(F.col(REJECT).isNotNull())
    assert plan_size(rejects) < 1.1 * plan_size(judged)
    assert [(row[REJECT].rule, row[REJECT].column) for row in rejects.collect()] == [("missing", "user")]
    assert judged.where(F.col(REJECT).isNull()).count() == ROWS - 1
