"""Which text is which time."""

from datetime import UTC, datetime

import pytest
from pydantic import ValidationError
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from afm_core.features import Time
from pipelines.logs.values import timestamp

T = datetime(2020, 7, 4, 17, 1, 43, 800_000, UTC)


CASES: list[tuple[str | None, str | None, datetime | None]] = [
    ("1593882103.8", None, T),
    ("2020-07-04 17:01:43.8", None, T),
    ("2020-07-04T17:01:43.800Z", None, T),
    ("2020-07-04T19:01:43.8+02:00", None, T),
    ("1593882103.8000004", None, T),
    ("14102123", None, None),  # yyMMddHH
    ("2014102123", None, None),  # yyyyMMddHH
    ("20141021", None, None),
    ("1593882103800", None, None),  # milliseconds
    ("0", None, None),
    ("12:30", None, None),
    ("9" * 18, None, None),
    ("0", "epoch_s", datetime(1970, 1, 1, tzinfo=UTC)),
    ("-1.5", "epoch_s", datetime(1969, 12, 31, 23, 59, 58, 500_000, UTC)),
    ("2014102123", "epoch_s", datetime(2033, 10, 28, 8, 48, 43, tzinfo=UTC)),
    ("1593882103800", "epoch_ms", T),
    ("1593882103800000", "epoch_us", T),
    ("9" * 18, "epoch_s", None),
    ("2020-07-04", "epoch_ms", None),
    ("20070417", "yyMMddHH", datetime(2020, 7, 4, 17, tzinfo=UTC)),
    ("2014102123", "yyyyMMddHH", datetime(2014, 10, 21, 23, tzinfo=UTC)),
    ("21/10/2014 23:05", "dd/MM/yyyy HH:mm", datetime(2014, 10, 21, 23, 5, tzinfo=UTC)),
    ("2014-13-01", "yyyy-MM-dd", None),
    ("2014-10-21T23:05", "yyyy-MM-dd'T'HH:mm", datetime(2014, 10, 21, 23, 5, tzinfo=UTC)),
    ("x", "yyMMddHH", None),
    (None, "yyMMddHH", None),
    (None, None, None),
]


def test_a_text_is_a_time_or_none(spark: SparkSession) -> None:
    formats = list(dict.fromkeys(format_ for _, format_, _ in CASES))
    frame = spark.createDataFrame(
        [(number, text) for number, (text, _, _) in enumerate(CASES)], "number int, text string"
    )
    times = [F.unix_micros(timestamp(frame["text"], format_)) for format_ in formats]
    rows = {row[0]: row[1:] for row in frame.select("number", *times).collect()}
    for number, (text, format_, expected) in enumerate(CASES):
        micros = None if expected is None else round(expected.timestamp() * 1e6)
        assert rows[number][formats.index(format_)] == micros, (text, format_)


@pytest.mark.parametrize("format_", ["", "epoch", "epoch_ns", "hello", "YYYY-MM-dd"])
def test_a_format_that_cannot_be(format_: str) -> None:
    with pytest.raises(ValidationError):
        Time(name="hour", kind="time", of="ts", part="hour", format=format_)
