"""Settings of what is read and prepared."""

from datetime import date
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from afm_core.settings.section import ColumnName, Names, Positive, Section, Share
from afm_core.storage.paths import PathOrUrl


class LogsSettings(Section):
    """Raw logs."""

    path: Path
    """A file, a pattern such as `logs/2026-*.csv`, a folder, possibly with `dt=YYYY-MM-DD` partitions, or a table."""
    format: Literal["csv", "json", "parquet", "orc", "table"] = "csv"
    """`csv` with any one-character separator, `json` lines, `parquet`, `orc`, or a `table` of Spark's catalogue."""
    separator: Annotated[str, Field(min_length=1, max_length=1)] = ","
    """Between the columns of a csv file."""
    columns: tuple[ColumnName, ...] = ()
    """Names of the columns of a csv file without a header. Empty: the first line of every file is a header."""
    separator_in: ColumnName | None = None
    """The column of a csv file without quotes whose text may hold the separator; it gets what the others leave."""
    keys: tuple[ColumnName, ...] = ()
    """Columns that identify a log; scores carry them. Empty: scores carry the fields themselves."""
    max_rejected: Share = 0.0
    """A larger share of rejected rows stops the job."""
    first_date: date | None = None
    """Leave out `dt` partitions before this day."""
    last_date: date | None = None
    """Leave out `dt` partitions after this day."""


class LabelSettings(Section):
    """What makes a log a positive. Without a column every log is one, and negatives are drawn."""

    column: ColumnName | None = None
    """Column of the logs that holds 0 or 1, -1 or 1, false or true, or a number (see below)."""
    at_least: float | None = None
    """A log whose number is at least this is a positive, any other a negative."""
    range: tuple[float, float] | None = None
    """The least and the greatest number; labels are the numbers, scaled from this range to -1 .. 1."""
    weight: ColumnName | None = None
    """Column of the logs that holds the weight of a log, and of its negatives, in the training loss."""

    @model_validator(mode="after")
    def _one_meaning(self) -> "LabelSettings":
        if self.column is None and (self.at_least is not None or self.range is not None):
            raise ValueError("at_least and range need a column")
        if self.at_least is not None and self.range is not None:
            raise ValueError("give at_least or range, not both")
        if self.range is not None and not self.range[0] < self.range[1]:
            raise ValueError("range: the first number must be less than the second")
        return self


class NegativesSettings(Section):
    """Negatives drawn for each positive."""

    per_positive: Annotated[int, Field(ge=0, le=100)] | None = None
    """How many. Not set: 2 where every log is a positive, 0 where a column says which are."""
    replace: Names = ("item",)
    """The field, or the fields that belong together, whose values are replaced by those of another log."""
    never_seen_by: Names | Literal["context", "nothing"] = ("user",)
    """A field, or several: what any log shows with this row's values of all of them is never drawn. `context`: all
    fields but the replaced ones. `nothing`: anything but the row's own value may be drawn."""
    draw: Literal["uniform", "popular", "hard"] = "uniform"
    """`uniform`: each value equally likely; `popular`: by its count to the power of alpha; `hard`: by its count among
    the logs with the same values of `within`."""
    alpha: Annotated[float, Field(ge=0.0, le=2.0)] = 0.75
    """Power of the count (popular)."""
    within: Names | None = None
    """The context fields whose values must be the same (hard)."""


class SplitSettings(Section):
    """Shares of the instances."""

    train: Share = 0.7
    """To fit the weights."""
    valid: Share = 0.2
    """To choose the epoch, and the settings."""
    test: Share = 0.1
    """To measure the result, once."""
    by: ColumnName = "random"
    """What stays together: `random`, nothing, as in the paper; `positive`, a log and its negatives; a field, all
    instances with the same value of it, say those of a user; `time`, the last days are test, those before valid;
    `leave_one_out`, the last log of each value of `of` is test, the one before valid. The last two need no shares."""
    time: ColumnName | None = None
    """Column of the logs with the date or timestamp (`time`; `leave_one_out`, where not set the order is random)."""
    of: ColumnName | None = None
    """The field whose last logs are left out (`leave_one_out`)."""
    valid_days: Positive = 1
    """Days before the test days (`time`)."""
    test_days: Positive = 1
    """The last days of the logs (`time`)."""

    @model_validator(mode="after")
    def _shares_sum_to_one(self) -> "SplitSettings":
        if abs(self.train + self.valid + self.test - 1.0) > 1e-9:
            raise ValueError("train, valid and test must sum to 1")
        if min(self.train, self.valid, self.test) <= 0:
            raise ValueError("train, valid and test must each be above 0")
        if self.by == "time" and self.time is None:
            raise ValueError("by time needs split.time, the column of the logs that holds it")
        if self.by == "leave_one_out" and self.of is None:
            raise ValueError("by leave_one_out needs split.of, the field whose last logs are left out")
        return self


class DatasetSettings(Section):
    """Where the prepared Parquet goes, and its shape."""

    path: PathOrUrl
    """The dataset's folder, replaced whole by each preparation; training also reads from s3:// and hdfs://."""
    rows_per_file: Annotated[int, Field(ge=1, le=4_000_000)] | None = None
    """Rows of each file, which is one row group. Not set: the multiple of train.batch_size nearest to 65,536."""
