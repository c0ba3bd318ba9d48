"""Scoring one night: its logs and a bundle in, its scores published as a whole."""

from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import Any

import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict
from pyspark.sql import SparkSession

from afm_core.bundle import Bundle
from afm_core.prediction.row_explainer import require_explainable
from afm_core.settings import Settings
from afm_core.storage.atomic import replacing
from afm_core.storage.locations import Location
from afm_core.storage.paths import make_folder
from afm_core.storage.provenance import Provenance
from pipelines import phases
from pipelines.contract_checks import Contract
from pipelines.contracts import REJECT_TABLE, scores
from pipelines.logs.checking import CheckedLogs, check_counted, reject_row
from pipelines.logs.log_columns import LogColumns
from pipelines.logs.reading import read_logs
from pipelines.logs.rules import judge_logs
from pipelines.scoring.monitoring.checks import WrittenScores, read_back, refuse_if_out_of_limits
from pipelines.scoring.monitoring.drift import SCORE_DRIFT, drifted, score_shift
from pipelines.scoring.monitoring.ledger import NightFigures
from pipelines.scoring.night_task import Night
from pipelines.scoring.published.opening import night_store
from pipelines.scoring.published.publish import publish_night, read_published
from pipelines.scoring.published.store import NightStage, NightStore
from pipelines.scoring.usually_missing import usually_missing
from pipelines.scoring.worker.input_rows import WorkerColumns, prepare_rows
from pipelines.scoring.worker.task import scoring_task
from pipelines.scoring.worker.task_counters import NightCounters
from pipelines.scoring.worker.writer import write_parts
from pipelines.spark import url
from pipelines.spark_stages import Stages


class NightManifest(BaseModel):
    """Content of one night of scores: rows in = scored + rejected."""

    model_config = ConfigDict(frozen=True)

    night: date
    model: str
    """Fingerprint of the bundle."""
    feature_map: str
    """Fingerprint of the feature map."""
    rows_in: int = 0
    rejected: dict[str, int] = {}
    """Number of rejected rows by reason."""
    scored: int = 0
    mean_score: float | None = None
    """None for a night without rows."""
    unknown: dict[str, float] = {}
    """Share of the scored rows with a missing or unseen value, by field."""
    new_values: dict[str, dict[str, int]] = {}
    """The most frequent unseen values and their number of rows, by field."""
    drift: dict[str, float] = {}
    """Population stability index by field, and of the score."""
    drifted: dict[str, float] = {}
    """The indices above `score.drift.warn`."""
    made_from: Provenance
    """Digests of the logs, the settings, the software and the model."""
    seconds: dict[str, float]
    """Seconds of each stage."""
    model_seconds: float = 0.0
    """Processor time spent in the model, all tasks together."""

    @property
    def figures(self) -> NightFigures:
        """What the ledger records."""
        return NightFigures(
            self.rows_in,
            sum(self.rejected.values()),
            self.scored,
            self.mean_score,
            self.unknown,
            self.drift,
            list(self.drifted),
        )


@dataclass(frozen=True)
class NightScoring:
    """Scores nights; a `pipelines.scoring.night_task.NightTask`."""

    settings: Settings
    explain: int = 0
    """Number of interactions to add to each row, those of the largest weights; 0 for none."""

    @cached_property
    def store(self) -> NightStore:
        """Where scores are published."""
        return night_store(self.settings, self.settings.nightly.path)

    @property
    def options(self) -> dict[str, Any]:
        """The command-line option that changes the columns of the scores."""
        return {"explain": self.explain}

    def check_bundle(self, bundle: Bundle) -> None:
        """Raise BundleError where explanations are wanted that the model cannot give."""
        if self.explain:
            require_explainable(bundle)

    def published(self, night: date) -> NightManifest | None:
        """The manifest of a published night; None where there is none, or one of an incompatible version."""
        return read_published(self.store, night, NightManifest)

    def process(self, spark: SparkSession, night: Night) -> NightManifest:
        """Score a night and replace whatever was published for it. A night without rows is published empty.

        Raises:
            LogsError: the logs cannot be used.
            NightRefusedError: the scores failed a check.
        """
        columns, stages = LogColumns.of(self.settings, labelled=False), Stages(spark)
        contract = scores(columns.score_keys, explained=self.explain > 0)
        return publish_night(
            self.settings,
            self.store,
            night.date,
            night.inputs,
            contract,
            write=lambda stage: self._write(spark, night, columns, contract, stages, stage),
            describe_empty=(lambda: _manifest(night, stages)) if night.may_be_empty else None,
        )

    def _write(
        self,
        spark: SparkSession,
        night: Night,
        columns: LogColumns,
        contract: Contract,
        stages: Stages,
        stage: NightStage,
    ) -> NightManifest:
        """Score in one pass over the logs; nothing of their size is kept between reading and writing."""
        judged = judge_logs(read_logs(spark, self.settings.logs, columns, night.logs), self.settings, columns)
        bundle, worker_columns = night.bundle, WorkerColumns.of(night.bundle.feature_map, columns.score_keys)
        counters = NightCounters.begin(spark.sparkContext, bundle, worker_columns.given)
        with stages("read, encode and score") as report:
            task = scoring_task(bundle, worker_columns, counters, self.explain)
            rows = prepare_rows(judged, reject_row(columns), bundle, worker_columns)
            files = write_parts(rows, task, contract, stage)
            report(f"{counters.rows:,} rows, {counters.model_seconds:,.1f} s of processor time in the model")
        phases.reached(phases.FILES_WRITTEN, stage)
        with stages("check the logs") as report:
            checked = check_counted(
                judged,
                files.rejects,
                self.settings,
                columns,
                night.logs,
                accepted=counters.rows,
                is_suspect=counters.has_empty_field,
                usual=usually_missing(bundle),
            )
            _write_rejects(checked, stage.rejects)
            report(f"{checked.rows_in:,} rows, {checked.rows_in - checked.rows_accepted:,} rejected")
        with stages("check the night"):
            written = read_back(spark, stage.kept(), list(bundle.drift_baseline.scores.edges))
            counts = written.rows, files.rows, counters.rows
            assert len(set(counts)) == 1, f"{counts[0]} rows in the files, {counts[1]} written, {counts[2]} scored"
            assert sum(checked.rejected.values()) == files.rejected, f"{checked.rejected}: not {files.rejected} in all"
            return self._checked_manifest(night, stages, checked, written, counters)

    def _checked_manifest(
        self, night: Night, stages: Stages, checked: CheckedLogs, written: WrittenScores, counters: NightCounters
    ) -> NightManifest:
        """Compare the night with the limits of the settings, and describe it."""
        limits, shifts = self.settings.nightly, counters.shifts
        of_score = score_shift(night.bundle.drift_baseline.scores, written.cumulative, written.rows)
        shifts |= {SCORE_DRIFT: of_score} if of_score else {}
        refuse_if_out_of_limits(limits, night.date, written.rows, written.mean, counters.unknown, shifts)
        return _manifest(
            night,
            stages,
            rows_in=checked.rows_in,
            rejected=checked.rejected,
            scored=written.rows,
            mean_score=written.mean,
            unknown=counters.unknown,
            new_values=counters.unseen_values,
            drift={name: round(shift.index, 6) for name, shift in shifts.items()},
            drifted=drifted(shifts, limits.drift, limits.drift.warn),
            model_seconds=counters.model_seconds,
        )


def _manifest(night: Night, stages: Stages, **content: Any) -> NightManifest:
    return NightManifest(
        night=night.date,
        model=night.bundle.fingerprint,
        feature_map=night.bundle.feature_map.fingerprint,
        made_from=night.made_from,
        seconds=stages.seconds,
        **content,
    )


def _write_rejects(checked: CheckedLogs, folder: Location) -> None:
    if checked.rejected:
        checked.rejects.write.parquet(url(folder), compression="zstd")
        return
    make_folder(folder)
    with replacing(folder / "part-00000.parquet") as unfinished:
        pq.write_table(REJECT_TABLE.arrow.empty_table(), unfinished)
