"""Settings of what is read and prepared."""

from datetime import date
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from afm_core.features.declaration_types import TimeFormat, joined_name
from afm_core.settings.section import ColumnName, Names, Positive, Section, Share
from afm_core.storage.locations import Location, LocationsSetting
from afm_core.storage.paths import PublishedPath


def _of_tabs(section: object) -> object:
    """`format: tsv` is CSV with tabs."""
    if isinstance(section, dict) and section.get("format") == "tsv":
        return {"separator": "\t", **section, "format": "csv"}
    return section


def _tab(separator: object) -> object:
    return "\t" if separator == "\\t" else separator


class _FilesSettings(Section):
    path: LocationsSetting
    """A file, a folder (with or without `dt=YYYY-MM-DD` partitions), a pattern such as `logs/2026-*.csv`, the name of a
    table, or a list of them: `[web/2026, app/2026]`. Files, folders and patterns may be URLs: `s3://` (or `s3a://`),
    `gs://`, `abfss://`, `hdfs://`, `file://`."""
    format: Annotated[
        Literal["csv", "json", "parquet", "orc", "table"],
        Field(json_schema_extra={"enum": ["csv", "tsv", "json", "parquet", "orc", "table"]}),
    ] = "csv"
    """Format of the logs: `csv` with any separator, `tsv` with tabs, `json` lines, `parquet`, `orc`, or a `table` of
    Spark's catalogue."""
    separator: Annotated[str, Field(min_length=1, max_length=8), BeforeValidator(_tab)] = ","
    """What separates the columns of a CSV file: a character, a tab as `\\t`, or several characters such as `::`."""
    quote: Annotated[str, Field(max_length=1)] = '"'
    """Character around values of a CSV file that contain the separator; empty where quotes are characters as any."""
    escape: Annotated[str, Field(min_length=1, max_length=1)] = '"'
    """Character before a quote within a quoted value of a CSV file: a quote, or a backslash as Spark writes it."""
    multiline: bool = False
    """Whether quoted values of a CSV file may contain line ends. Each file is then read as a whole by one task."""
    encoding: Literal["utf-8", "latin-1", "utf-16"] = "utf-8"
    """Encoding of a CSV file. One in UTF-16 begins with a byte order mark, and is read as a whole by one task."""
    missing: tuple[str, ...] = ("\\N", "NULL", "null", "NaN", "nan")
    """Values that mean that there is none, beside empty text, in every column and format. `NA` and `None` are not among
    them, because they are values where countries or titles are logged."""

    @property
    def paths(self) -> tuple[Location, ...]:
        """All that `path` names."""
        return self.path if isinstance(self.path, tuple) else (self.path,)

    @property
    def where(self) -> str:
        """The paths, as error messages name them."""
        return ", ".join(map(str, self.paths))

    def at(self, path: Location) -> Self:
        """These settings, for one of the paths or for another place with the same kind of files."""
        return self.model_copy(update={"path": path})

    @model_validator(mode="before")
    @classmethod
    def _known_format(cls, section: object) -> object:
        return _of_tabs(section)

    @model_validator(mode="after")
    def _lines_of_csv(self) -> Self:
        if self.multiline and (self.format != "csv" or not self.quote):
            raise ValueError("multiline is for CSV files with quotes")
        if self.encoding == "utf-16" and self.format not in ("csv", "json"):
            raise ValueError(f"encoding is for text, found format: {self.format}")
        return self


class JoinSettings(_FilesSettings):
    """A table with more about something that the logs name, such as the genres of an item."""

    on: ColumnName
    """Column of the logs that names it."""
    key: ColumnName | None = None
    """Column of the table with the same names, each once. Not set: it is called as in the logs."""
    columns: Names
    """Columns of the table that fields may read as if the logs had them; missing where the table has no such row."""
    header: tuple[ColumnName, ...] = ()
    """Names of all columns of a CSV file without a header line."""

    @property
    def table(self) -> "LogsSettings":
        """The table, as logs are read."""
        options = {name: getattr(self, name) for name in _FilesSettings.model_fields}
        return LogsSettings(**options, columns=self.header)


class LogsSettings(_FilesSettings):
    """The raw logs. Each of their rows is an event."""

    columns: tuple[ColumnName, ...] = ()
    """Column names of CSV files without a header line. Not set: every file begins with a header, whose names say where
    each column is in this file."""
    optional: tuple[ColumnName, ...] = ()
    """Columns that some files lack: their values are missing there. Without it such a CSV file stops the job."""
    separator_in: ColumnName | None = None
    """The one column of an unquoted CSV file whose values may contain the separator."""
    keys: tuple[ColumnName, ...] = ()
    """Columns that identify an event. Scores carry them; without keys, they carry the columns that the fields read."""
    max_rejected: Share = 0.0
    """Largest share of rejected rows that is accepted; above it the job stops."""
    first_date: date | None = None
    """First day to read; `dt` partitions before it are ignored."""
    last_date: date | None = None
    """Last day to read; `dt` partitions after it are ignored."""
    join: tuple[JoinSettings, ...] = ()
    """Tables with more about items, users or anything else. A drawn negative gets what belongs to its own item."""


class LabelSettings(Section):
    """What makes an event a positive. Without a label column every event is one, and negatives are drawn."""

    column: ColumnName | None = None
    """Column with the label: 0 or 1, -1 or 1, false or true; a word, with `positive`; or a number, with `at_least` or
    `range`."""
    positive: tuple[str, ...] = ()
    """Words that mean a positive, such as `buy`; every other one means a negative."""
    at_least: float | None = None
    """Threshold on a numeric label: an event is a positive from this value on, otherwise a negative."""
    range: tuple[float, float] | None = None
    """Smallest and largest value of a numeric label, which is scaled linearly from this range to -1 .. 1."""
    weight: ColumnName | None = None
    """Column with the weight of an event, and of the negatives drawn for it, in the training loss."""

    @model_validator(mode="after")
    def _one_meaning(self) -> "LabelSettings":
        meanings = [bool(self.positive), self.at_least is not None, self.range is not None]
        if self.column is None and any(meanings):
            raise ValueError("positive, at_least and range need a column")
        if sum(meanings) > 1:
            raise ValueError("give one of positive, at_least and range")
        if self.range is not None and not self.range[0] < self.range[1]:
            raise ValueError("range: the first number must be less than the second")
        return self


class NegativesSettings(Section):
    """The negatives drawn for each positive."""

    per_positive: Annotated[int, Field(ge=0, le=100)] | None = None
    """Negatives to draw for each positive. Not set: 2, or 0 where there is a label column."""
    replace: Names = ("item",)
    """Field whose value a negative replaces, or several that are replaced together by a combination that occurs."""
    never_seen_by: Names | Literal["context", "nothing"] = ("user",)
    """Fields that define what was seen: a negative never equals an event with the same values of these fields.
    `context` means all fields but the replaced ones; `nothing` excludes only the positive's own value."""
    draw: Literal["uniform", "popular", "hard"] = "uniform"
    """Sampling distribution: `uniform`; `popular`, proportional to count^popularity_exponent; `hard`, proportional to
    the count among events with the same values of `within`."""
    popularity_exponent: Annotated[float, Field(ge=0.0, le=2.0)] = 0.75
    """Exponent of the count for `draw: popular`."""
    within: Names | None = None
    """Context fields that a hard negative must share with its positive (`draw: hard`)."""


class SplitSettings(Section):
    """The division of the instances into training, validation and test split."""

    train: Share = 0.7
    """Share of the training split, to which the weights are fitted."""
    valid: Share = 0.2
    """Share of the validation split, which chooses the epoch and the settings."""
    test: Share = 0.1
    """Share of the test split, which measures the result once; 0 for a last training on everything."""
    by: ColumnName = "random"
    """Unit that stays in one split: `random`, each instance by itself, as in the paper; `positive`, an event with its
    negatives; the name of a field, all instances with the same value; `time`, the last days are test, those before
    them validation; `leave_one_out`, the last event of each value of `of` is test, the one before it validation;
    `column`, as `column` says. `time`, `leave_one_out` and `column` ignore the shares."""
    column: ColumnName | None = None
    """Column of the logs with `train`, `valid` or `test` for each event (`column`); or their `split=train` folders."""
    time: ColumnName | Annotated[tuple[ColumnName, ...], Field(min_length=2)] | None = None
    """Column with the date or timestamp of an event (`time`, `leave_one_out`), or several, as `of` of a time field.
    Without it `leave_one_out` orders the events at random."""
    time_format: TimeFormat | None = None
    """Format of that column, as `format` of a time field."""
    of: ColumnName | None = None
    """Field whose last events are left out (`leave_one_out`)."""
    valid_days: Positive = 1
    """Number of validation days, just before the test days (`time`)."""
    test_days: Annotated[int, Field(ge=0)] = 1
    """Number of test days, the last ones of the logs (`time`)."""

    @model_validator(mode="after")
    def _shares_sum_to_one(self) -> "SplitSettings":
        if abs(self.train + self.valid + self.test - 1.0) > 1e-9:
            raise ValueError("train, valid and test must sum to 1")
        if min(self.train, self.valid) <= 0:
            raise ValueError("train and valid must each be above 0")
        if (self.by == "column") != (self.column is not None):
            raise ValueError("by column needs split.column, which nothing else uses")
        if self.by == "time" and self.time is None:
            raise ValueError("by time needs split.time, the column of the logs that holds it")
        if self.by == "leave_one_out" and self.of is None:
            raise ValueError("by leave_one_out needs split.of, the field whose last events are left out")
        return self

    @property
    def time_source(self) -> str | None:
        """The column of `time`; of several, the one that the reader adds."""
        return None if self.time is None else joined_name(self.time)

    @property
    def has_test(self) -> bool:
        """Whether there must be test rows."""
        match self.by:
            case "time":
                return self.test_days > 0
            case "column":
                return False
        return self.test > 0


class DatasetSettings(Section):
    """The prepared dataset."""

    path: PublishedPath
    """Folder of the dataset. Each preparation replaces it as a whole; training can also read it from `s3://` or
    `hdfs://`."""
    rows_per_file: Annotated[int, Field(ge=1, le=4_000_000)] | None = None
    """Rows in each file, which is one row group. Not set: the multiple of train.batch_size nearest to 65,536."""
