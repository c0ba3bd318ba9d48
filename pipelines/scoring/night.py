"""Scoring one night: its logs and a bundle in, its scores published whole."""

from datetime import date
from pathlib import Path

import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.pandas.types import to_arrow_schema

from afm_core.bundle import Bundle
from afm_core.drift import Shift
from afm_core.errors import EmptyLogsError
from afm_core.publish import staged
from afm_core.settings import Settings, write_settings
from pipelines.console import Stages
from pipelines.contracts import conform, scores
from pipelines.encoding.encoder import Encoding, encode
from pipelines.logs.checking import CheckedLogs, check_logs
from pipelines.logs.columns import column
from pipelines.logs.reading import read_logs, wanted_columns
from pipelines.scoring.checks import read_back, refuse_if_odd, unknown_shares
from pipelines.scoring.drift import SCORE_DRIFT, beyond, field_shifts, score_edges, score_shift
from pipelines.scoring.nights import find_night, night_folder
from pipelines.scoring.udf import scorer
from pipelines.spark import url

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
    drift: dict[str, float]
    """Population stability index by field, and of the score."""
    drifted: dict[str, float]
    """Those beyond `score.drift.warn`."""
    seconds: dict[str, float]


def score_night(
    spark: SparkSession, settings: Settings, bundle: Bundle, night: date, explain: int = 0
) -> NightManifest:
    """Score the logs of a night and replace whatever was published for it. A night without rows is published empty.

    Args:
        explain: how many of its most weighted interactions to add to each row, 0 for none.

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
            manifest = _write(spark, settings, bundle, night, checked, stage, stages, explain)
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
    explain: int,
) -> NightManifest:
    keys = list(settings.logs.keys or wanted_columns(settings, labelled=False))
    contract = scores(keys, explained=explain > 0)
    rows, mean, unknown, shifts = 0, None, dict[str, float](), dict[str, Shift]()
    if checked is None:
        pq.write_table(to_arrow_schema(contract).empty_table(), stage / "part-00000.parquet")
    else:
        checked.rejects.write.parquet(url(stage / REJECTS), compression="zstd")
        with stages("encode and score") as say:
            encoded = _encode_beside_keys(checked.accepted, bundle, keys).persist()
            score = scorer(bundle, keys, [_kept(name) for name in keys], explain)
            scored = conform(encoded.mapInArrow(score, contract), contract)
            scored.write.mode("append").parquet(url(stage), compression="zstd")
            say(f"{checked.rows_accepted:,} rows")
        with stages("check the night"):
            written = read_back(spark, stage, score_edges(bundle))
            rows, mean = written.rows, written.mean
            assert rows == checked.rows_accepted, f"{rows} rows scored, {checked.rows_accepted} accepted"
            unknown = unknown_shares(encoded, bundle, rows)
            shifts = field_shifts(encoded, bundle)
            of_score = score_shift(bundle, written.below, rows)
            shifts |= {SCORE_DRIFT: of_score} if of_score else {}
            refuse_if_odd(settings, night, mean, unknown, shifts)
    return NightManifest(
        night=night,
        model=bundle.fingerprint,
        feature_map=bundle.feature_map.fingerprint,
        rows_in=checked.rows_in if checked else 0,
        rejected=checked.rejected if checked else {},
        scored=rows,
        mean_score=mean,
        unknown=unknown,
        drift={name: round(found.index, 6) for name, found in shifts.items()},
        drifted=beyond(shifts, settings.score.drift, settings.score.drift.warn),
        seconds=stages.seconds,
    )


def _kept(name: str) -> str:
    """Where the text of a key column stands while its field, of the same name, holds ids."""
    return f"_key_{name}"


def _encode_beside_keys(logs: DataFrame, bundle: Bundle, keys: list[str]) -> DataFrame:
    kept = logs.select("*", *[column(name).alias(_kept(name)) for name in keys])
    encoded = encode(kept, Encoding(bundle.feature_map, bundle.features_path, bundle.counts_path))
    columns = (*bundle.feature_map.id_columns, *bundle.feature_map.x_columns)
    return encoded.select(*[column(_kept(name)) for name in keys], *columns)
