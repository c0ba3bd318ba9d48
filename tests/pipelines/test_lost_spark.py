"""What PySpark's own threads print when the JVM is lost."""

import pytest
from pyspark.sql import SparkSession


def handled(spark: SparkSession, error: Exception) -> None:
    """Let the server for accumulators handle an error of a request, as its thread does."""
    try:
        raise error
    except type(error):
        spark.sparkContext._accumulatorServer.handle_error(None, ("127.0.0.1", 1))


@pytest.mark.parametrize("error", [EOFError(), ConnectionResetError()])
def test_an_update_that_a_lost_jvm_breaks_off_prints_nothing(
    spark: SparkSession, capsys: pytest.CaptureFixture[str], error: Exception
) -> None:
    handled(spark, error)
    assert capsys.readouterr().err == ""


def test_other_errors_are_printed(spark: SparkSession, capsys: pytest.CaptureFixture[str]) -> None:
    handled(spark, ValueError("a defect"))
    assert "ValueError: a defect" in capsys.readouterr().err
