"""Scoring one night: its logs and a bundle in, its scores published whole."""

import shutil
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError
from pyspark.sql import SparkSession
from pyspark.sql.types import StructType

from afm_core.bundle import Bundle
from afm_core.errors import EmptyLogsError
from afm_core.settings import Settings, write_settings
from afm_core.storage.publishing import staged
from pipelines.console import Stages
from pipelines.contracts import REJECT_TABLE, scores
from pipelines.logs.checking import check_counted
from pipelines.logs.reading import read_logs, wanted_columns
from pipelines.logs.rules import judge_logs
from pipelines.scoring.monitoring.checks import read_back, refuse_if_odd
from pipelines.scoring.monitoring.drift import SCORE_DRIFT, drifted, score_shift
from pipelines.scoring.night_dates import find_night, night_folder
from pipelines.scoring.night_freshness import made_from
from pipelines.scoring.worker.input_rows import WorkerColumns, rows_to_score
from pipelines.scoring.worker.task import scorer
from pipelines.scoring.worker.task_counters import NightCounters
from pipelines.scoring.worker.writer import write_none, write_parts
from pipelines.spark import url

MANIFEST, _REJECTS, SETTINGS = (
    "_manifest.json",
    "_rejects",
    "_settings.yaml",
)  # Spark reads past names that begin with _


class NightManifest(BaseModel):
    """What one night of scores holds: rows in = scored + rejected."""

    model_config = ConfigDict(frozen=True)

    night: date
    model: str
    """Fingerprint of the bundle."""
    feature_map: str
    rows_in: int = 0
    rejected: dict[str, int] = {}
    scored: int = 0
    mean_score: float | None = None
    """None for a night without rows."""
    unknown: dict[str, float] = {}
    """Share of the scored rows whose value is missing or was never seen, by field."""
    new_values: dict[str, dict[str, int]] = {}
    """The most frequent values that the model knows nothing of, and their rows, by field."""
    drift: dict[str, float] = {}
    """Population stability index by field, and of the score."""
    drifted: dict[str, float] = {}
    """Those beyond `score.drift.warn`."""
    made_from: dict[str, str]
    """A digest of the logs, the settings, the software and the model."""
    seconds: dict[str, float]
    model_seconds: float = 0.0
    """Of processor time in the model, all tasks together."""


@dataclass(frozen=True)
class _Night:
    """What is to be scored, and by what."""

    settings: Settings
    bundle: Bundle
    night: date
    logs: Path
    """Their folder."""
    explain: int
    made_from: dict[str, str]

    @property
    def keys(self) -> list[str]:
        """Columns of the logs that stand beside the scores."""
        return list(self.settings.logs.keys or wanted_columns(self.settings, labelled=False))

    @property
    def contract(self) -> StructType:
        """Of the scores."""
        return scores(self.keys, explained=self.explain > 0)

    def manifest(self, stages: Stages, **found: Any) -> NightManifest:
        """With what was found; nothing, for an empty night."""
        return NightManifest(
            night=self.night,
            model=self.bundle.fingerprint,
            feature_map=self.bundle.feature_map.fingerprint,
            made_from=self.made_from,
            seconds=stages.seconds,
            **found,
        )


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
    folder, stages = find_night(settings.nightly.logs, night), Stages(spark)
    asked = _Night(settings, bundle, night, folder, explain, made_from(settings, bundle, folder, explain))
    try:
        with staged(night_folder(settings.nightly.path, night)) as stage:
            try:
                manifest = _write(spark, asked, stage, stages)
            except EmptyLogsError:
                shutil.rmtree(stage)
                write_none(asked.contract, stage)
                manifest = asked.manifest(stages)
            (stage / MANIFEST).write_text(manifest.model_dump_json(indent=2) + "\n", encoding="utf-8")
            write_settings(settings, stage / SETTINGS)
    finally:
        spark.catalog.clearCache()
    return manifest


def read_manifest(scores: Path, night: date) -> NightManifest | None:
    """Of a published night; None where there is none, or one of another version."""
    try:
        text = (night_folder(scores, night) / MANIFEST).read_text(encoding="utf-8")
        return NightManifest.model_validate_json(text)
    except (OSError, ValidationError):
        return None


def _write(spark: SparkSession, asked: _Night, stage: Path, stages: Stages) -> NightManifest:
    """One pass over the logs: nothing of their size is kept between reading and writing."""
    settings, bundle = asked.settings, asked.bundle
    judged = judge_logs(read_logs(spark, settings, asked.logs), settings)
    columns = WorkerColumns.of(bundle.feature_map, asked.keys)
    counts = NightCounters.begin(spark.sparkContext, bundle, columns.given)
    with stages("read, encode and score") as say:
        score = scorer(bundle, columns, counts, asked.explain)
        scored = write_parts(rows_to_score(judged, bundle, columns), score, asked.contract, stage)
        say(f"{counts.rows:,} rows, {counts.model_seconds:,.1f} s of processor time in the model")
    with stages("check the logs") as say:
        checked = check_counted(judged, settings, asked.logs, counts.rows_in, counts.rows, counts.has_empty)
        if checked.rejected:
            checked.rejects.write.parquet(url(stage / _REJECTS), compression="zstd")
        else:
            write_none(REJECT_TABLE, stage / _REJECTS)
        say(f"{checked.rows_in:,} rows, {checked.rows_in - checked.rows_accepted:,} rejected")
    with stages("check the night"):
        written = read_back(spark, stage, list(bundle.drift_baseline.scores.edges))
        rows = written.rows, scored, counts.rows
        assert len(set(rows)) == 1, f"{rows[0]} rows in the files, {rows[1]} written, {rows[2]} scored"
        shifts = counts.shifts
        of_score = score_shift(bundle.drift_baseline.scores, written.below, written.rows)
        shifts |= {SCORE_DRIFT: of_score} if of_score else {}
        refuse_if_odd(settings, asked.night, written.mean, counts.unknown, shifts)
    return asked.manifest(
        stages,
        rows_in=checked.rows_in,
        rejected=checked.rejected,
        scored=written.rows,
        mean_score=written.mean,
        unknown=counts.unknown,
        new_values=counts.new_values,
        drift={name: round(found.index, 6) for name, found in shifts.items()},
        drifted=drifted(shifts, settings.nightly.drift, settings.nightly.drift.warn),
        model_seconds=counts.model_seconds,
    )
