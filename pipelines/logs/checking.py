"""Judging raw rows: each is either accepted or kept in the rejects table with a typed reason."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from afm_core.errors import EmptyLogsError, LogsError
from afm_core.features import Categorical, Field, Numeric, Tags, Time
from afm_core.settings import Settings
from pipelines.contracts import REJECTS, conform
from pipelines.logs.columns import CORRUPT, FILE, LIST, column
from pipelines.logs.reading import wanted_columns
from pipelines.logs.values import is_label, is_number, timestamp

_REPLACEMENT_CHARACTER = "\ufffd"  # what Spark puts where bytes are not UTF-8
_LONGEST = 32_768  # characters of a value; longer ones are a sign of lost quotes, and would fill the feature map
_CONTROL = r"[\x00-\x08\x0B\x0C\x0E-\x1F]"  # all but tabs and line ends: signs of damage, and one is our own mark
_REJECT = "_reject"


@dataclass(frozen=True)
class CheckedLogs:
    """Raw rows, judged: rows in = accepted + rejected."""

    accepted: DataFrame
    """Contract `log_columns`."""
    rejects: DataFrame
    """Contract `REJECTS`."""
    rows_in: int
    rejected: dict[str, int]
    """Rows by reason."""
    present: dict[str, int]
    """Accepted rows with a value, by column of the logs."""

    @property
    def rows_accepted(self) -> int:
        """Rows that went on."""
        return self.rows_in - sum(self.rejected.values())


def check_logs(raw: DataFrame, settings: Settings, path: Path, labelled: bool = False) -> CheckedLogs:
    """Judge every row of `raw` (see `read_logs`) in one pass, and stop where too much of it is unusable.

    The pass over the input is cached; accepted rows, rejects and counts all come from it.

    Args:
        labelled: whether the rows must have a label and a weight, where the settings name columns of them.

    Raises:
        LogsError: no rows at all, a field empty in every row, or more rejects than `logs.max_rejected`.
    """
    wanted = wanted_columns(settings, labelled)
    read = list(dict.fromkeys(source for field in settings.fields for source in field.sources))
    cleaned = raw.select(*[_clean(name) for name in wanted], CORRUPT, FILE)
    judged = cleaned.withColumn(_REJECT, F.coalesce(*_rules(settings, labelled))).persist()
    counts = judged.groupBy(f"{_REJECT}.rule", f"{_REJECT}.column").agg(
        F.count(F.lit(1)).alias("rows"), *[F.count(column(name)).alias(f"n_{at}") for at, name in enumerate(read)]
    )
    rows = counts.collect()  # one row a reason
    rows_in = sum(row["rows"] for row in rows)
    rejected = {_reason(row["rule"], row["column"]): row["rows"] for row in rows if row["rule"] is not None}
    if not rows_in:
        raise EmptyLogsError(_no_rows(settings, path))
    _stop_if_too_many(rejected, rows_in, settings, path)
    present = {name: sum(row[f"n_{at}"] for row in rows if row["rule"] is None) for at, name in enumerate(read)}
    for name in read:
        if not present[name]:
            accepted_rows = rows_in - sum(rejected.values())
            raise LogsError(f"{path}: column {name} is absent or empty in all {accepted_rows:,} rows; correct fields")
    accepted = judged.where(F.col(_REJECT).isNull()).select(*map(column, wanted))
    as_json = F.to_json(F.struct(*map(column, wanted)))
    rejects = judged.where(F.col(_REJECT).isNotNull()).select(
        f"{_REJECT}.rule", f"{_REJECT}.column", F.coalesce(CORRUPT, as_json).alias("raw"), F.col(FILE).alias("file")
    )
    return CheckedLogs(accepted, conform(rejects, REJECTS), rows_in, dict(sorted(rejected.items())), present)


def _clean(name: str) -> Column:
    """Text without surrounding blanks; empty text is a missing value."""
    text = F.trim(column(name))
    return F.when(text != "", text).alias(name)


def _rules(settings: Settings, labelled: bool) -> Iterator[Column]:
    """For each rule a struct (rule, column) where the row breaks it, else null. The first broken one counts."""
    yield F.when(F.col(CORRUPT).isNotNull(), _broken("malformed"))
    yield from _rules_of_text(settings, labelled)
    for name in settings.required_fields:
        for source in settings.field(name).sources:
            yield F.when(column(source).isNull(), _broken("missing", source))
    for field in settings.fields:
        yield from _rules_of_kind(field)
    label, time = settings.label, settings.split.time
    if labelled and label.column:
        yield F.when(column(label.column).isNull(), _broken("missing", label.column))
        yield F.when(~is_label(label), _broken("not_a_label", label.column))
    if labelled and label.weight:
        value = column(label.weight)
        is_weight = is_number(value) & (value.try_cast("float") >= 0) & (value.try_cast("float") < float("inf"))
        yield F.when(~F.coalesce(is_weight, F.lit(False)), _broken("not_a_weight", label.weight))
    if labelled and time:
        yield F.when(timestamp(column(time)).isNull(), _broken("not_a_timestamp", time))


def _rules_of_text(settings: Settings, labelled: bool) -> Iterator[Column]:
    """Whatever a value means: it must be whole text, of one value.

    Hardly any row breaks these rules, so they look at the row as one text first: with a search for each column the
    check of 20 columns took twice as long.
    """
    values = {name: column(name) for name in wanted_columns(settings, labelled)}
    lists = {field.source for field in settings.fields if isinstance(field, Tags)}
    unmarked = {name: F.translate(value, LIST, "") if name in lists else value for name, value in values.items()}
    row = F.concat_ws(" ", *unmarked.values())
    yield F.when(_is_not_utf8(row), _broken("not_utf8", _first(values, _is_not_utf8)))
    longest = F.when(F.octet_length(row) > _LONGEST, _first(values, lambda text: F.length(text) > _LONGEST))
    yield F.when(longest.isNotNull(), _broken("too_long", longest))
    yield F.when(row.rlike(_CONTROL), _broken("control_character", _first(unmarked, lambda text: text.rlike(_CONTROL))))
    if settings.logs.format == "json":
        nested = F.when(row.contains("{") | row.contains("["), _first(values, _is_nested))
        yield F.when(nested.isNotNull(), _broken("not_a_value", nested))


def _first(values: dict[str, Column], is_broken: Callable[[Column], Column]) -> Column:
    """Name of the first column whose value is broken, or null."""
    pairs = F.array(*[F.struct(F.lit(name).alias("name"), text.alias("text")) for name, text in values.items()])
    return F.get(F.filter(pairs, lambda pair: is_broken(pair.getField("text"))), F.lit(0)).getField("name")


def _is_not_utf8(text: Column) -> Column:
    return text.contains(_REPLACEMENT_CHARACTER) | ~F.is_valid_utf8(text)  # text of CSV and JSON | of other formats


def _is_nested(text: Column) -> Column:
    """Whether a text of JSON's, or one of its tags, is an object or a list: Spark's reader makes text of both."""
    parts = F.filter(F.split(text, LIST), lambda part: part.startswith("{") | part.startswith("["))
    return F.exists(parts, lambda part: F.try_parse_json(part).isNotNull())


def _rules_of_kind(field: Field) -> Iterator[Column]:
    match field:
        case Categorical(type="integer"):
            value = column(field.source)
            yield F.when(value.isNotNull() & ~value.rlike(r"^-?\d+\z"), _broken("not_an_integer", field.source))
        case Numeric():
            value = column(field.source)
            yield F.when(value.isNotNull() & ~is_number(value), _broken("not_a_number", field.source))
            if field.missing == "reject":
                yield F.when(value.isNull(), _broken("missing", field.source))
        case Time():
            value = column(field.of)
            yield F.when(value.isNotNull() & timestamp(value).isNull(), _broken("not_a_timestamp", field.of))


def _broken(rule: str, name: Column | str | None = None) -> Column:
    return F.struct(F.lit(rule).alias("rule"), F.lit(name).cast("string").alias("column"))


def _reason(rule: str, column: str | None) -> str:
    return f"{rule} {column}" if column else rule


def _no_rows(settings: Settings, path: Path) -> str:
    first, last = settings.logs.first_date, settings.logs.last_date
    if path != settings.logs.path or not (first or last):
        return f"{path}: holds no rows; there is nothing to do"
    between = f"from {first or 'the first day'} to {last or 'the last'}"
    return f"{path}: holds no rows {between}; correct logs.first_date and logs.last_date"


def _stop_if_too_many(rejected: dict[str, int], rows_in: int, settings: Settings, path: Path) -> None:
    total, allowed = sum(rejected.values()), settings.logs.max_rejected
    if total > allowed * rows_in:
        reasons = ", ".join(f"{reason} {rows:,}" for reason, rows in sorted(rejected.items()))
        raise LogsError(
            f"{path}: {total:,} of {rows_in:,} rows rejected ({total / rows_in:.2%}; {reasons}), "
            f"allowed is logs.max_rejected = {allowed:.2%}; correct the logs, or allow more"
        )
    if total == rows_in:
        raise LogsError(f"{path}: all {rows_in:,} rows rejected ({', '.join(sorted(rejected))}); correct the logs")
