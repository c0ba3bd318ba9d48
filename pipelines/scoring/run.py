"""The only runner of nights: one after another under a lock, each with a row in the ledger.

What is done with a night is a `NightTask`: scoring it (`pipelines.scoring.night`), or recommending items
(`pipelines.recommendation.recommend`). Lock, certificate, freshness, isolation of errors and ledger are the same.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Generic

from pyspark.sql import SparkSession

from afm_core.bundle import Bundle, read_bundle
from afm_core.errors import AfmError, BundleError, MachineError, NightRefusedError, ReplacedBundleError
from afm_core.settings import Settings
from afm_core.storage.locations import Location
from pipelines import phases
from pipelines.console import messages
from pipelines.logs.files.opening import file_tree
from pipelines.logs.inputs import Inputs, ListedLogs
from pipelines.scoring.finished_logs import require_finished
from pipelines.scoring.monitoring.ledger import LedgerEntry, NightFigures, write_entry
from pipelines.scoring.monitoring.ledger_months import gather_ledger
from pipelines.scoring.monitoring.ledger_page import write_page
from pipelines.scoring.monitoring.ledger_plot import plot_ledger
from pipelines.scoring.night_dates import find_night
from pipelines.scoring.night_freshness import UP_TO_DATE, night_provenance, what_changed
from pipelines.scoring.night_task import Manifest, Night, NightTask, PublishedNight
from pipelines.spark_errors import one_line_errors, unless_lost

PROCESSED_AGAIN = "processed again"

# The same numbers added in another order; bfloat16 products may be float32 on another processor.
_TOLERANCE = {"float32": 1e-6, "bfloat16": 1e-2}


@dataclass(frozen=True)
class NightOutcome(Generic[Manifest]):
    """What became of one night."""

    night: date
    manifest: Manifest | None
    """None where nothing was published."""
    error: AfmError | None
    reason: str
    """Why it was processed: how its inputs differ from those of what was published before; or why it was skipped."""
    skipped: bool = False
    """Whether it was left as it was, because it is up to date."""


def run_nights(
    spark: SparkSession,
    settings: Settings,
    nights: Sequence[date],
    task: NightTask[Manifest],
    *,
    skip_up_to_date: bool = False,
) -> list[NightOutcome[Manifest]]:
    """Process nights one after another, each published by itself, and write a row of the ledger for each.

    An error in one night does not keep the others from being processed.

    Args:
        skip_up_to_date: leave nights alone whose logs, settings, software and model are those of what is published.

    Raises:
        BusyError: another run writes to the same folder.
        BundleError: no complete bundle, one of other fields than the settings', or one whose frozen rows score
            differently than in its training.
    """
    with task.store.locked():
        bundle = _open_bundle(settings)
        _require_same_scores(bundle)
        task.check_bundle(bundle)
        phases.reached(phases.BUNDLE_CHECKED, bundle)
        outcomes = [
            _run_night(spark, settings, night, task, bundle, skip_up_to_date=skip_up_to_date) for night in nights
        ]
        _gather_and_plot(task.store.path, settings)
    return outcomes


def _run_night(
    spark: SparkSession,
    settings: Settings,
    night: date,
    task: NightTask[Manifest],
    bundle: Bundle,
    *,
    skip_up_to_date: bool,
) -> NightOutcome[Manifest]:
    started, clock = datetime.now(UTC), time.monotonic()
    manifest, error, reason = None, None, "new"
    try:
        before = task.published(night)
        logs = find_night(file_tree(settings.nightly.logs, lambda: spark), night)
        tree = file_tree(logs, lambda: spark)
        may_be_empty = require_finished(tree, settings.nightly)
        listed = ListedLogs.of(settings.logs, tree, is_night=True)
        inputs = Inputs.of(settings.logs, lambda: spark, listed)
        provenance = night_provenance(settings, bundle, listed, task.options)
        reason = what_changed(before.made_from if before else None, provenance)
        if skip_up_to_date and reason == UP_TO_DATE:
            return NightOutcome(night, before, None, reason, skipped=True)
        reason = PROCESSED_AGAIN if reason == UP_TO_DATE else reason
        with one_line_errors(settings.run.work / "spark.log"):
            manifest = task.process(spark, Night(night, logs, inputs, bundle, provenance, may_be_empty))
    except AfmError as failure:
        error = _replaced(bundle) or failure
    except OSError as failure:
        error = _replaced(bundle) or AfmError(
            f"{failure.filename or task.store.path}: {failure.strerror or failure}; nothing was published for {night}; "
            "make sure that the job has space and permission to write there, and run it again"
        )
    finally:
        with unless_lost():
            spark.catalog.clearCache()
    seconds = round(time.monotonic() - clock, 2)
    try:
        write_entry(task.store.path, _entry(started, night, bundle, manifest, error, seconds))
    except (OSError, MachineError) as failure:
        became = "is published" if manifest else "is not published"
        error = error or AfmError(
            f"{task.store.path}: no row of the ledger could be written for {night}, which {became}: "
            f"{_reason(failure)}; make sure that the job has space and permission to write there"
        )
    return NightOutcome(night, manifest, error, reason)


def _gather_and_plot(output: Location, settings: Settings) -> None:
    """Gather and show the ledger; what cannot be written is reported and fails no night."""
    try:
        rows = gather_ledger(output)
        plot_ledger(output, rows, settings.nightly.drift)
        write_page(output, rows, settings.nightly.drift)
    except (OSError, MachineError) as error:
        messages.print(f"  {output}: the ledger could not be gathered and plotted: {_reason(error)}")


def _reason(error: OSError | MachineError) -> str:
    return (isinstance(error, OSError) and error.strerror) or str(error)


def _open_bundle(settings: Settings) -> Bundle:
    """The bundle of the settings, its fields compared with theirs.

    Raises:
        BundleError: no complete bundle there, or one of other fields.
    """
    bundle = read_bundle(settings.scoring_bundle)
    if bundle.feature_map.names != settings.field_names:
        raise BundleError(
            f"{bundle.path}: its feature map has the fields {', '.join(bundle.feature_map.names)}, "
            f"the settings say {', '.join(settings.field_names)}; name the bundle's own settings with --config"
        )
    return bundle


def _replaced(bundle: Bundle) -> ReplacedBundleError | None:
    """The cause of any other error, if the bundle was replaced or removed during the run."""
    try:
        current = read_bundle(bundle.path).fingerprint
    except BundleError:
        current = "nothing that can be read"
    if current == bundle.fingerprint:
        return None
    return ReplacedBundleError(
        f"{bundle.path}: replaced by {current} while {bundle.fingerprint} was scoring; run the night again"
    )


def _require_same_scores(bundle: Bundle) -> None:
    """Score the bundle's frozen rows and compare them with what the trainer wrote.

    Raises:
        BundleError: the scores differ by more than rounding.
    """
    precision = bundle.settings.model.precision
    difference, allowed = bundle.certificate_error(), _TOLERANCE[precision]
    if not difference <= allowed:
        raise BundleError(
            f"{bundle.path}: scores of its frozen rows differ by up to {difference:.2g} from those of the training, "
            f"allowed is {allowed:g} ({precision}); use the versions it was trained with, or train it again"
        )


def _entry(
    started: datetime,
    night: date,
    bundle: Bundle,
    manifest: PublishedNight | None,
    error: AfmError | None,
    seconds: float,
) -> LedgerEntry:
    if manifest is None:
        outcome = "refused" if isinstance(error, NightRefusedError) else "failed"
        return LedgerEntry(started, night, outcome, str(error), bundle.fingerprint, NightFigures(), seconds)
    outcome = "published" if manifest.figures.rows_in else "empty"
    return LedgerEntry(started, night, outcome, None, bundle.fingerprint, manifest.figures, seconds)
