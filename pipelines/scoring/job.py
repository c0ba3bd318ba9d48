"""Scoring nights from end to end: logs and a bundle in, published scores out."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import to_arrow_schema

from afm_core.bundle import Bundle, read_bundle
from afm_core.errors import AfmError, BundleError, EmptyLogsError, NightRefusedError
from afm_core.publish import staged
from afm_core.settings import Settings, write_settings
from pipelines.console import Stages
from pipelines.contracts import SCORE, conform, scores
from pipelines.encoding.encoder import Encoding, encode
from pipelines.logs.checking import CheckedLogs, check_logs
from pipelines.logs.columns import column
from pipelines.logs.reading import read_logs, wanted_columns
from pipelines.scoring.ledger import Entry, write_entry
from pipelines.scoring.lock import locked
from pipelines.scoring.nights import find_night, night_folder
from pipelines.scoring.udf import scorer
from pipelines.spark import literal, url

MANIFEST, REJECTS, SETTINGS = "_manifest.json", "_rejects", "_settings.yaml"  # Spark reads past names that begin with _


class NightManifest(BaseModel):
    """What one night of scores holds: rows in = scored + rejected."""

    model_config = ConfigDict(frozen=True)

    night: date
    model: str
    """Fingerprint of the bundle."""
    feature_map: str
    rows_in: int
    rejected: dict[str, int]
    scored: int
    mean_score: float | None
    """None for a night without rows."""
    unknown: dict[str, float]
    """Share of the scored rows whose value is missing or was never seen, by field."""
    seconds: dict[str, float]


@dataclass(frozen=True)
class Outcome:
    """What became of one night."""

    night: date
    manifest: NightManifest | None
    """None where nothing was published."""
    error: AfmError | None


def score_nights(spark: SparkSession, settings: Settings, nights: Sequence[date]) -> list[Outcome]:
    """Score nights one after another, each published by itself, and write a row of the ledger for each.

    A night that cannot be scored or published does not keep the others from it.

    Raises:
        BusyError: another run writes to the same scores.
        BundleError: no whole bundle, or one of other fields than the settings'.
    """
    outcomes = []
    with locked(settings.score.path):
        bundle = open_bundle(settings)
        for night in nights:
            started, clock = datetime.now(UTC), time.monotonic()
            manifest, error = None, None
            try:
                manifest = score_night(spark, settings, bundle, night)
            except AfmError as found:
                error = found
            seconds = round(time.monotonic() - clock, 2)
            write_entry(settings.score.path, _entry(started, night, bundle, manifest, error, seconds))
            outcomes.append(Outcome(night, manifest, error))
    return outcomes


def score_night(spark: SparkSession, settings: Settings, bundle: Bundle, night: date) -> NightManifest:
    """Score the logs of a night and replace whatever was published for it. A night without rows is published empty.

    Raises:
        LogsError: no such night, or logs that cannot be used.
        NightRefusedError: the scores did not pass the checks.
    """
    folder = find_night(settings.score.logs, night)
    stages = Stages(spark)
    try:
        with staged(night_folder(settings.score.path, night)) as stage:
            with stages("read and check the logs") as say:
                checked = _checked(spark, settings, folder)
                rejected = checked.rows_in - checked.rows_accepted if checked else 0
                say(f"{checked.rows_in:,} rows, {rejected:,} rejected" if checked else "an empty night")
            manifest = _write(spark, settings, bundle, night, checked, stage, stages)
            (stage / MANIFEST).write_text(manifest.model_dump_json(indent=2) + "\n", encoding="utf-8")
            write_settings(settings, stage / SETTINGS)
    finally:
        spark.catalog.clearCache()
    return manifest


def _checked(spark: SparkSession, settings: Settings, folder: Path) -> CheckedLogs | None:
    """The logs of a night; None where it has no rows."""
    try:
        return check_logs(read_logs(spark, settings, folder), settings, folder)
    except EmptyLogsError:
        return None


def _write(
    spark: SparkSession,
    settings: Settings,
    bundle: Bundle,
    night: date,
    checked: CheckedLogs | None,
    stage: Path,
    stages: Stages,
) -> NightManifest:
    keys = list(settings.logs.keys or wanted_columns(settings, labelled=False))
    rows, mean, unknown = 0, None, dict[str, float]()
    if checked is None:
        pq.write_table(_no_rows(keys), stage / "part-00000.parquet")
    else:
        checked.rejects.write.parquet(url(stage / REJECTS), compression="zstd")
        with stages("encode and score") as say:
            encoded = _encode_beside_keys(checked.accepted, bundle, keys).persist()
            score = scorer(bundle, keys, [_kept(name) for name in keys])
            scored = conform(encoded.mapInArrow(score, scores(keys)), scores(keys))
            scored.write.mode("append").parquet(url(stage), compression="zstd")
            say(f"{checked.rows_accepted:,} rows")
        with stages("check the night"):
            rows, mean = _read_back(spark, stage)
            assert rows == checked.rows_accepted, f"{rows} rows scored, {checked.rows_accepted} accepted"
            unknown = _unknown_shares(encoded, bundle, rows)
            _refuse_if_odd(settings, night, mean, unknown)
    return NightManifest(
        night=night,
        model=bundle.fingerprint,
        feature_map=bundle.feature_map.fingerprint,
        rows_in=checked.rows_in if checked else 0,
        rejected=checked.rejected if checked else {},
        scored=rows,
        mean_score=mean,
        unknown=unknown,
        seconds=stages.seconds,
    )


def open_bundle(settings: Settings) -> Bundle:
    """The run's bundle, its fields compared with the settings'.

    Raises:
        BundleError: no whole bundle there, or one of other fields.
    """
    bundle = read_bundle(settings.run.bundle)
    if bundle.feature_map.names != settings.field_names:
        raise BundleError(
            f"{settings.run.bundle}: its feature map has the fields {', '.join(bundle.feature_map.names)}, "
            f"the settings say {', '.join(settings.field_names)}; name the bundle's own settings with --config"
        )
    return bundle


def _kept(name: str) -> str:
    """Where the text of a key column stands while its field, of the same name, holds ids."""
    return f"_key_{name}"


def _encode_beside_keys(logs: DataFrame, bundle: Bundle, keys: list[str]) -> DataFrame:
    kept = logs.select("*", *[column(name).alias(_kept(name)) for name in keys])
    encoded = encode(kept, Encoding(bundle.feature_map, bundle.features_path, bundle.counts_path))
    columns = (*bundle.feature_map.id_columns, *bundle.feature_map.x_columns)
    return encoded.select(*[column(_kept(name)) for name in keys], *columns)


def _read_back(spark: SparkSession, stage: Path) -> tuple[int, float | None]:
    """Rows and mean score of what was written, from the files themselves.

    Raises:
        NightRefusedError: a score is not a number.
    """
    score = F.col(SCORE)
    lost = F.count_if(score.isNull() | F.isnan(score) | (F.abs(score) == float("inf")))
    found = spark.read.parquet(literal(stage)).agg(F.count(F.lit(1)), F.avg(score), lost).first()
    assert found is not None
    if found[2]:
        raise NightRefusedError(f"{found[2]:,} of {found[0]:,} scores are not numbers; train the bundle again")
    return found[0], found[1]


def _refuse_if_odd(settings: Settings, night: date, mean: float | None, unknown: dict[str, float]) -> None:
    limits = settings.score
    field, share = max(unknown.items(), key=lambda item: item[1])
    if share > limits.max_unknown:
        raise NightRefusedError(
            f"night {night}: {share:.1%} of {field} missing or unseen, allowed is score.max_unknown = "
            f"{limits.max_unknown:.1%}; look at the logs, train on newer ones, or allow more"
        )
    if limits.mean_score and mean is not None and not limits.mean_score[0] <= mean <= limits.mean_score[1]:
        low, high = limits.mean_score
        raise NightRefusedError(
            f"night {night}: mean score {mean:+.4f}, allowed is score.mean_score = {low:+g} to {high:+g}; "
            "look at the logs and the bundle, or allow more"
        )


def _no_rows(keys: list[str]) -> pa.Table:
    return to_arrow_schema(scores(keys)).empty_table()


def _entry(
    started: datetime,
    night: date,
    bundle: Bundle,
    manifest: NightManifest | None,
    error: AfmError | None,
    seconds: float,
) -> Entry:
    if manifest is None:
        outcome = "refused" if isinstance(error, NightRefusedError) else "failed"
        reason = str(error)
        return Entry(started, night, outcome, reason, bundle.fingerprint, None, None, None, None, {}, seconds)
    outcome = "published" if manifest.rows_in else "empty"
    counts = manifest.rows_in, sum(manifest.rejected.values()), manifest.scored
    facts = *counts, manifest.mean_score, manifest.unknown
    return Entry(started, night, outcome, None, bundle.fingerprint, *facts, seconds)


def _unknown_shares(encoded: DataFrame, bundle: Bundle, rows: int) -> dict[str, float]:
    fields = bundle.feature_map.fields
    counts = encoded.agg(*[F.count_if(F.col(field.id_columns[0]) == field.unknown_id) for field in fields]).first()
    assert counts is not None
    return {field.name: round(count / max(1, rows), 6) for field, count in zip(fields, counts, strict=True)}
