"""Scoring one night: its logs and a bundle in, its scores published whole."""

import shutil
from datetime import date
from pathlib import Path

import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.pandas.types import to_arrow_schema

from afm_core.bundle import Bundle
from afm_core.errors import EmptyLogsError
from afm_core.publish import staged
from afm_core.settings import Settings, write_settings
from pipelines.console import Stages
from pipelines.contracts import conform, scores
from pipelines.encoding.encoder import Encoding, encode
from pipelines.logs.checking import WatchedLogs, watch_logs
from pipelines.logs.columns import column
from pipelines.logs.reading import read_logs, wanted_columns
from pipelines.scoring.checks import read_back, refuse_if_odd
from pipelines.scoring.counting import NightCounts
from pipelines.scoring.drift import SCORE_DRIFT, beyond, score_edges, score_shift
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
    model_seconds: float = 0.0
    """Of processor time in the model, all tasks together."""


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
            try:
                logs = watch_logs(read_logs(spark, settings, folder), settings, folder)
                manifest = _write(spark, settings, bundle, night, logs, stage, stages, explain)
            except EmptyLogsError:
                manifest = _write_empty(settings, bundle, night, stage, stages, explain)
            (stage / MANIFEST).write_text(manifest.model_dump_json(indent=2) + "\n", encoding="utf-8")
            write_settings(settings, stage / SETTINGS)
    finally:
        spark.catalog.clearCache()
    return manifest


def _write(
    spark: SparkSession,
    settings: Settings,
    bundle: Bundle,
    night: date,
    logs: WatchedLogs,
    stage: Path,
    stages: Stages,
    explain: int,
) -> NightManifest:
    """One pass over the logs: nothing of their size is kept between reading and writing."""
    keys, counts = _keys(settings), NightCounts.begin(spark.sparkContext, bundle)
    contract = scores(keys, explained=explain > 0)
    with stages("read, encode and score") as say:
        encoded = _encode_beside_keys(logs.accepted, bundle, keys)
        score = scorer(bundle, keys, [_kept(name) for name in keys], counts, explain)
        scored = conform(encoded.mapInArrow(score, contract), contract)
        scored.write.mode("append").parquet(url(stage), compression="zstd")
        say(f"{counts.rows:,} rows, {counts.model_seconds:,.1f} s of processor time in the model")
    with stages("check the logs") as say:
        checked = logs.outcome(counts.rows)
        checked.rejects.write.parquet(url(stage / REJECTS), compression="zstd")
        say(f"{checked.rows_in:,} rows, {checked.rows_in - checked.rows_accepted:,} rejected")
    with stages("check the night"):
        written = read_back(spark, stage, score_edges(bundle))
        assert written.rows == counts.rows, f"{written.rows} rows written, {counts.rows} scored"
        shifts = counts.shifts
        of_score = score_shift(bundle, written.below, written.rows)
        shifts |= {SCORE_DRIFT: of_score} if of_score else {}
        refuse_if_odd(settings, night, written.mean, counts.unknown, shifts)
    return NightManifest(
        night=night,
        model=bundle.fingerprint,
        feature_map=bundle.feature_map.fingerprint,
        rows_in=checked.rows_in,
        rejected=checked.rejected,
        scored=written.rows,
        mean_score=written.mean,
        unknown=counts.unknown,
        drift={name: round(found.index, 6) for name, found in shifts.items()},
        drifted=beyond(shifts, settings.score.drift, settings.score.drift.warn),
        seconds=stages.seconds,
        model_seconds=counts.model_seconds,
    )


def _write_empty(
    settings: Settings, bundle: Bundle, night: date, stage: Path, stages: Stages, explain: int
) -> NightManifest:
    with stages("an empty night"):
        shutil.rmtree(stage)
        stage.mkdir()
        contract = scores(_keys(settings), explained=explain > 0)
        pq.write_table(to_arrow_schema(contract).empty_table(), stage / "part-00000.parquet")
    return NightManifest(
        night=night,
        model=bundle.fingerprint,
        feature_map=bundle.feature_map.fingerprint,
        rows_in=0,
        rejected={},
        scored=0,
        mean_score=None,
        unknown={},
        drift={},
        drifted={},
        seconds=stages.seconds,
        model_seconds=0.0,
    )


def _keys(settings: Settings) -> list[str]:
    return list(settings.logs.keys or wanted_columns(settings, labelled=False))


def _kept(name: str) -> str:
    """Where the text of a key column stands while its field, of the same name, holds ids."""
    return f"_key_{name}"


def _encode_beside_keys(logs: DataFrame, bundle: Bundle, keys: list[str]) -> DataFrame:
    kept = logs.select("*", *[column(name).alias(_kept(name)) for name in keys])
    encoded = encode(kept, Encoding(bundle.feature_map, bundle.features_path, bundle.counts_path))
    columns = (*bundle.feature_map.id_columns, *bundle.feature_map.x_columns)
    return encoded.select(*[column(_kept(name)) for name in keys], *columns)
