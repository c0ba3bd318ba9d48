"""Scoring nights one after another, under a lock, each with a row in the ledger."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

from pyspark.sql import SparkSession

from afm_core.bundle import Bundle, read_bundle
from afm_core.errors import AfmError, BundleError, LogsError, NightRefusedError, ReplacedBundleError
from afm_core.settings import Settings
from pipelines.scoring.lock import locked
from pipelines.scoring.monitoring.ledger import LedgerEntry, write_entry
from pipelines.scoring.monitoring.ledger_plot import plot_trend
from pipelines.scoring.night import NightManifest, read_manifest, score_night
from pipelines.scoring.night_dates import find_night
from pipelines.scoring.night_freshness import made_from, what_changed
from pipelines.scoring.worker.explanations import require_explainable
from pipelines.spark import one_line_errors

AS_IT_WAS = "as it was"

# The same numbers in another order of additions; bfloat16 products may be float32 on another processor.
_ALLOWED = {"float32": 1e-6, "bfloat16": 1e-2}


@dataclass(frozen=True)
class Outcome:
    """What became of one night."""

    night: date
    manifest: NightManifest | None
    """None where nothing was published."""
    error: AfmError | None
    why: str
    """What differs from what was published before, or that nothing does."""

    @property
    def skipped(self) -> bool:
        """Whether it was left as it was."""
        return self.why == AS_IT_WAS


def score_nights(
    spark: SparkSession, settings: Settings, nights: Sequence[date], explain: int = 0, again: bool = True
) -> list[Outcome]:
    """Score nights one after another, each published by itself, and write a row of the ledger for each.

    A night that cannot be scored or published does not keep the others from it.

    Args:
        explain: how many of its most weighted interactions to add to each row, 0 for none.
        again: score nights whose logs, settings, software and model are those of what is published, too.

    Raises:
        BusyError: another run writes to the same scores.
        BundleError: no whole bundle, or one of other fields than the settings'.
    """
    outcomes = []
    with locked(settings.nightly.path):
        bundle = open_bundle(settings)
        _require_same_scores(bundle)
        if explain:
            require_explainable(bundle)
        for night in nights:
            before = read_manifest(settings.nightly.path, night)
            why = _why(before, settings, bundle, night, explain)
            if why == AS_IT_WAS and not again:
                outcomes.append(Outcome(night, before, None, why))
                continue
            started, clock = datetime.now(UTC), time.monotonic()
            manifest, error = None, None
            try:
                with one_line_errors(settings.run.path / "spark.log"):
                    manifest = score_night(spark, settings, bundle, night, explain)
            except AfmError as found:
                error = _replaced(bundle) or found
            except OSError as found:
                error = _replaced(bundle) or AfmError(
                    f"{found.filename or settings.nightly.path}: {found.strerror or found}; nothing was published for "
                    f"{night}; give the job room and rights to write there, and run it again"
                )
            seconds = round(time.monotonic() - clock, 2)
            write_entry(settings.nightly.path, _entry(started, night, bundle, manifest, error, seconds))
            outcomes.append(Outcome(night, manifest, error, "again" if why == AS_IT_WAS else why))
        plot_trend(settings.nightly.path, settings.nightly.drift)
    return outcomes


def open_bundle(settings: Settings) -> Bundle:
    """The run's bundle, its fields compared with the settings'.

    Raises:
        BundleError: no whole bundle there, or one of other fields.
    """
    bundle = read_bundle(settings.scoring_bundle)
    if bundle.feature_map.names != settings.field_names:
        raise BundleError(
            f"{bundle.path}: its feature map has the fields {', '.join(bundle.feature_map.names)}, "
            f"the settings say {', '.join(settings.field_names)}; name the bundle's own settings with --config"
        )
    return bundle


def _why(before: NightManifest | None, settings: Settings, bundle: Bundle, night: date, explain: int) -> str:
    if before is None:
        return "new"
    try:
        changed = what_changed(
            before.made_from, made_from(settings, bundle, find_night(settings.nightly.logs, night), explain)
        )
    except LogsError:  # said again, to somebody, by scoring it
        return "new"
    return f"other {changed}" if changed else AS_IT_WAS


def _replaced(bundle: Bundle) -> ReplacedBundleError | None:
    """The error behind whatever went wrong, if another bundle or none lies where the bundle was."""
    try:
        found = read_bundle(bundle.path).fingerprint
    except BundleError:
        found = "nothing that can be read"
    if found == bundle.fingerprint:
        return None
    return ReplacedBundleError(
        f"{bundle.path}: replaced by {found} while {bundle.fingerprint} was scoring; run the night again"
    )


def _require_same_scores(bundle: Bundle) -> None:
    """Score the bundle's frozen rows, and compare with what the trainer wrote.

    Raises:
        BundleError: they differ by more than rounding does.
    """
    precision = bundle.settings.model.precision
    difference, allowed = bundle.largest_difference(), _ALLOWED[precision]
    if not difference <= allowed:
        raise BundleError(
            f"{bundle.path}: scores of its frozen rows differ by up to {difference:.2g} from those of the training, "
            f"allowed is {allowed:g} ({precision}); use the versions it was trained with, or train it again"
        )


def _entry(
    started: datetime,
    night: date,
    bundle: Bundle,
    manifest: NightManifest | None,
    error: AfmError | None,
    seconds: float,
) -> LedgerEntry:
    if manifest is None:
        outcome = "refused" if isinstance(error, NightRefusedError) else "failed"
        reason = str(error)
        return LedgerEntry(
            started, night, outcome, reason, bundle.fingerprint, None, None, None, None, {}, {}, [], seconds
        )
    outcome = "published" if manifest.rows_in else "empty"
    counts = manifest.rows_in, sum(manifest.rejected.values()), manifest.scored
    facts = *counts, manifest.mean_score, manifest.unknown, manifest.drift, list(manifest.drifted)
    return LedgerEntry(started, night, outcome, None, bundle.fingerprint, *facts, seconds)
