"""Judging raw rows: each is either accepted or kept in the rejects table with a typed reason."""

from dataclasses import dataclass
from pathlib import Path

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from afm_core.errors import LogsError
from afm_core.settings import Settings
from pipelines.contracts import REJECTS, conform, log_columns
from pipelines.logs.reading import CORRUPT, FILE, wanted_columns

_REPLACEMENT_CHARACTER = "\ufffd"  # what Spark puts where bytes are not UTF-8


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

    @property
    def rows_accepted(self) -> int:
        """Rows that went on."""
        return self.rows_in - sum(self.rejected.values())


def check_logs(raw: DataFrame, settings: Settings, path: Path) -> CheckedLogs:
    """Judge every row of `raw` (see `read_logs`) in one pass, and stop where too much of it is unusable.

    The pass over the input is cached; accepted rows, rejects and counts all come from it.

    Raises:
        LogsError: no rows at all, a field empty in every row, or more rejects than `logs.max_rejected`.
    """
    wanted = wanted_columns(settings)
    cleaned = raw.select(*[_clean(name) for name in wanted], CORRUPT, FILE)
    judged = cleaned.withColumn("reject", _judge(settings)).persist()
    counts = judged.groupBy("reject.rule", "reject.column").agg(
        F.count(F.lit(1)).alias("rows"), *[F.count(name).alias(f"n_{name}") for name in settings.field_names]
    )
    rows = counts.collect()  # one row a reason
    rows_in = sum(row["rows"] for row in rows)
    rejected = {_reason(row["rule"], row["column"]): row["rows"] for row in rows if row["rule"] is not None}
    if not rows_in:
        raise LogsError(f"{path}: holds no rows; there is nothing to do")
    _stop_if_too_many(rejected, rows_in, settings, path)
    for name in settings.field_names:
        if not any(row[f"n_{name}"] for row in rows):
            raise LogsError(f"{path}: column {name} is absent or empty in all {rows_in:,} rows; correct fields")
    accepted = conform(judged.where("reject IS NULL"), log_columns(wanted))
    as_json = F.to_json(F.struct(*wanted))
    rejects = judged.where("reject IS NOT NULL").select(
        "reject.rule", "reject.column", F.coalesce(CORRUPT, as_json).alias("raw"), F.col(FILE).alias("file")
    )
    return CheckedLogs(accepted, conform(rejects, REJECTS), rows_in, dict(sorted(rejected.items())))


def _clean(name: str) -> Column:
    """Text without surrounding blanks; empty text is a missing value."""
    text = F.trim(F.col(name))
    return F.when(text != "", text).alias(name)


def _judge(settings: Settings) -> Column:
    """The first rule that a row breaks, as a struct (rule, column), or null."""
    rules = [F.when(F.col(CORRUPT).isNotNull(), _broken("malformed"))]
    for field in settings.fields:
        value = F.col(field.name)
        rules.append(F.when(value.contains(_REPLACEMENT_CHARACTER), _broken("not_utf8", field.name)))
        if field.name in settings.required_fields:
            rules.append(F.when(value.isNull(), _broken("missing", field.name)))
        if field.type == "integer":
            rules.append(F.when(value.isNotNull() & ~value.rlike(r"^-?\d+$"), _broken("not_an_integer", field.name)))
    return F.coalesce(*rules)


def _broken(rule: str, column: str | None = None) -> Column:
    return F.struct(F.lit(rule).alias("rule"), F.lit(column).cast("string").alias("column"))


def _reason(rule: str, column: str | None) -> str:
    return f"{rule} {column}" if column else rule


def _stop_if_too_many(rejected: dict[str, int], rows_in: int, settings: Settings, path: Path) -> None:
    total, allowed = sum(rejected.values()), settings.logs.max_rejected
    if total > allowed * rows_in:
        reasons = ", ".join(f"{reason} {rows:,}" for reason, rows in sorted(rejected.items()))
        raise LogsError(
            f"{path}: {total:,} of {rows_in:,} rows rejected ({total / rows_in:.2%}; {reasons}), "
            f"allowed is logs.max_rejected = {allowed:.2%}; correct the logs, or allow more"
        )
