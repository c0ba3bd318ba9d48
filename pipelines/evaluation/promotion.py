"""The gate between training and scoring: a new bundle becomes `current` only if it is as good as the one before."""

import shutil
from dataclasses import dataclass

import numpy as np

from afm_core.bundle import Bundle, read_bundle
from afm_core.drift.baseline import NumberBins
from afm_core.drift.stability_index import population_shift
from afm_core.errors import NotPromotedError
from afm_core.features import keeps_ids
from afm_core.learning.metrics import all_metrics
from afm_core.settings import Settings
from afm_core.settings.run import PromoteSettings
from afm_core.storage.publishing import staged
from pipelines.dataset import Dataset
from pipelines.evaluation.evaluate import require_same_map
from pipelines.evaluation.predictions import Predictions, encoded_batches, score_split

SPLIT = "valid"
_COMPARED = ("auc", "normalised_entropy", "calibration_ratio")


@dataclass(frozen=True)
class Check:
    """One thing that was asked of the new bundle."""

    what: str
    found: float
    allowed: str
    passed: bool


@dataclass(frozen=True)
class Promotion:
    """What became of a new bundle."""

    new: str
    """Fingerprints."""
    current: str | None
    """None where there was none, or one of ids that the dataset no longer has, so that nothing can be compared."""
    checks: list[Check]

    @property
    def promoted(self) -> bool:
        """Whether all checks passed."""
        return all(check.passed for check in self.checks)


def promote(settings: Settings) -> Promotion:
    """Compare the run's bundle with the current one on the validation split; put it in its place if it passes.

    Raises:
        BundleError: no whole bundle, or one of another feature map than the dataset's.
        DatasetError: no whole dataset.
    """
    dataset, new = Dataset.open(settings.dataset.path), read_bundle(settings.run.bundle)
    require_same_map(new, dataset)
    current = read_bundle(settings.run.current) if settings.run.current.exists() else None
    if current and not keeps_ids(dataset.features_path, current.features_path):
        current = None
    checks = list(_checks(settings.promote, dataset, new, current))
    found = Promotion(new.fingerprint, current.fingerprint if current else None, checks)
    if found.promoted:
        with staged(settings.run.current) as stage:
            shutil.copytree(new.path, stage, dirs_exist_ok=True)
    return found


def refusal(settings: Settings, promotion: Promotion) -> NotPromotedError | None:
    """Why the old bundle stays; None where it does not."""
    failed = [
        f"{check.what} {check.found:.4f}, allowed is {check.allowed}" for check in promotion.checks if not check.passed
    ]
    if not failed:
        return None
    return NotPromotedError(
        f"{settings.run.bundle}: not promoted: {'; '.join(failed)}; {settings.run.current} stays as it was; train "
        "again, or allow more under promote"
    )


def _checks(limits: PromoteSettings, dataset: Dataset, new: Bundle, current: Bundle | None) -> list[Check]:
    ours = score_split(new.scorer, dataset, SPLIT)
    found = _metrics(new, ours)
    low, high = limits.calibration_range
    ratio, unknown = found.get("calibration_ratio"), _most_unknown(new, dataset)
    checks = [Check("unknown share", unknown, f"at most {limits.max_unknown:g}", unknown <= limits.max_unknown)]
    if ratio is not None:
        checks.append(Check("calibration ratio", ratio, f"{low:g} to {high:g}", low <= ratio <= high))
    if current is None:
        return checks
    # Ids that were appended since are unknown to the current bundle.
    theirs = score_split(current.scorer, dataset, SPLIT, ids_below=current.feature_map)
    before = _metrics(current, theirs)
    least = before["auc"] - limits.max_auc_drop
    checks.append(Check("AUC", found["auc"], f"at least {least:.4f}", found["auc"] >= least))
    if "normalised_entropy" in found and "normalised_entropy" in before:
        most = before["normalised_entropy"] + limits.max_entropy_increase
        entropy = found["normalised_entropy"]
        checks.append(Check("normalised entropy", entropy, f"at most {most:.4f}", entropy <= most))
    bins = NumberBins.fit(theirs.score)
    moved = population_shift(np.array(bins.rows), bins.count(ours.score))
    passed = not moved.exceeds(limits.max_score_drift)
    checks.append(Check("score drift (PSI)", moved.index, f"at most {limits.max_score_drift:g}", passed))
    return checks


def _metrics(bundle: Bundle, scored: Predictions) -> dict[str, float]:
    found = all_metrics(scored.scored(bundle.calibrated_model.task), ())
    return {name: found[name] for name in _COMPARED if name in found}


def _most_unknown(bundle: Bundle, dataset: Dataset) -> float:
    """The greatest share of unknown ids in any one column."""
    unknown = np.array([field.unknown_id for field in bundle.feature_map.column_fields])
    counts, rows = np.zeros(len(unknown)), 0
    for batch in encoded_batches(dataset, SPLIT):
        counts, rows = counts + (batch.ids.numpy() == unknown).sum(axis=0), rows + len(batch.ids)
    return float(counts.max() / max(1, rows))
