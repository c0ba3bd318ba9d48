"""The gate between training and scoring: a new bundle becomes `current` only if it is as good as the current one."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from afm_core.bundle import Bundle, read_bundle
from afm_core.bundle_versions import fingerprint_of, publish_copy
from afm_core.drift.baseline import NumberBins
from afm_core.drift.stability_index import population_shift
from afm_core.errors import BundleError, NotPromotedError
from afm_core.features import keeps_ids
from afm_core.learning.metrics import all_metrics
from afm_core.settings import Settings
from afm_core.settings.run import PromoteSettings
from afm_core.storage.publishing import place_of, point, unchanged
from pipelines.dataset import Dataset
from pipelines.evaluation.evaluate import require_same_map
from pipelines.evaluation.predictions import Predictions, encoded_batches, score_split

SPLIT = "valid"
_COMPARED = ("auc", "rmse", "normalised_entropy", "calibration_ratio")


@dataclass(frozen=True)
class Check:
    """One check of a new bundle against a limit of the settings."""

    name: str
    value: float
    allowed: str
    passed: bool


@dataclass(frozen=True)
class Promotion:
    """The outcome of a promotion."""

    new: str
    """Fingerprint of the new bundle."""
    current: str | None
    """Fingerprint of the bundle that it was compared with; None if there is none."""
    not_compared: str | None
    """Why the current bundle could not be compared; None if it was, or if there is none."""
    checks: list[Check]

    @property
    def promoted(self) -> bool:
        """Whether all checks passed."""
        return all(check.passed for check in self.checks)


def promote(settings: Settings) -> Promotion:
    """Check the run's bundle on the validation split, and make it the current one if it passes.

    Raises:
        BundleError: there is no complete bundle, or its feature map is not the dataset's.
        DatasetError: there is no complete dataset.
        NotPromotedError: the labels of the validation split are all equal.
        RepublishedError: another run has promoted a bundle in the meantime, which this one was not compared with.
    """
    dataset, new = Dataset.open(settings.dataset.path), read_bundle(settings.run.bundle)
    require_same_map(new, dataset)
    place = place_of(settings.run.current)
    compared = place.current
    current = read_bundle(compared) if compared else None
    not_compared = _incomparable(dataset, new, current) if current else None
    if not_compared:
        current = None
    checks = list(_checks(settings.promote, dataset, new, current))
    dataset.require_unchanged()
    promotion = Promotion(new.fingerprint, current.fingerprint if current else None, not_compared, checks)
    if promotion.promoted:
        publish_copy(new.path, new.fingerprint, place, unchanged(place, compared))
    return promotion


def roll_back(settings: Settings, fingerprint: str) -> Path:
    """Make a bundle that was promoted or trained before the current one, without comparing it. Returns its version.

    Raises:
        BundleError: none of the versions that are kept has this fingerprint, or its files have changed.
    """
    promoted, trained = place_of(settings.run.current), place_of(settings.run.bundle)
    candidates = [*promoted.all_versions, *trained.all_versions]
    known = {fingerprint_of(version): version for version in reversed(candidates)}
    if fingerprint not in known:
        kept = ", ".join(name for name in known if name) or "none"
        raise BundleError(
            f"{settings.run.path}: no bundle {fingerprint} is kept there; allowed are {kept}; correct --to, or train "
            "it again"
        )
    bundle = read_bundle(known[fingerprint])
    if bundle.location.parent == promoted.versions:
        point(promoted, bundle.location)
    else:
        publish_copy(bundle.path, fingerprint, promoted)
    return bundle.location


def refusal(settings: Settings, promotion: Promotion) -> NotPromotedError | None:
    """The error that reports the failed checks; None if the bundle was promoted."""
    failed = [
        f"{check.name} {check.value:.4f}, allowed is {check.allowed}" for check in promotion.checks if not check.passed
    ]
    if not failed:
        return None
    return NotPromotedError(
        f"{settings.run.bundle}: not promoted: {'; '.join(failed)}; {settings.run.current} is unchanged; train again, "
        "or relax the limits under promote"
    )


def _incomparable(dataset: Dataset, new: Bundle, current: Bundle) -> str | None:
    """Why the scores of two bundles on the dataset's rows cannot be compared; None if they can."""
    if not keeps_ids(dataset.features_path, current.features_path):
        return "its ids are not those of the dataset"
    if current.settings.train.task != new.settings.train.task:
        return f"its task is {current.settings.train.task}"
    if current.settings.label.range != new.settings.label.range:
        return f"its label.range is {current.settings.label.range or 'not set'}"
    return None


def _checks(limits: PromoteSettings, dataset: Dataset, new: Bundle, current: Bundle | None) -> Iterator[Check]:
    predictions = score_split(new.scorer, dataset, SPLIT)
    if predictions.label.min() == predictions.label.max():
        raise NotPromotedError(
            f"{dataset.path}: all labels of its {SPLIT} split are {predictions.label[0]:g}, so that no model can be "
            "told from a better one; prepare it from logs with other labels, too"
        )
    metrics = _metrics(new, predictions)
    unknown = _largest_unknown_share(new, dataset)
    yield Check("unknown share", unknown, f"at most {limits.max_unknown:g}", unknown <= limits.max_unknown)
    ratio, (low, high) = metrics.get("calibration_ratio"), limits.calibration_range
    if ratio is not None:
        yield Check("calibration ratio", ratio, f"{low:g} to {high:g}", low <= ratio <= high)
    if current is None:
        return
    current_predictions = score_split(current.scorer, dataset, SPLIT, own_map=current.feature_map)
    current_metrics = _metrics(current, current_predictions)
    if "auc" in metrics:
        least = current_metrics["auc"] - limits.max_auc_drop
        yield Check("AUC", metrics["auc"], f"at least {least:.4f}", metrics["auc"] >= least)
    else:  # the labels are numbers
        most = current_metrics["rmse"] * (1.0 + limits.max_rmse_increase)
        yield Check("RMSE", metrics["rmse"], f"at most {most:.4f}", metrics["rmse"] <= most)
    if "normalised_entropy" in metrics and "normalised_entropy" in current_metrics:
        most = current_metrics["normalised_entropy"] + limits.max_entropy_increase
        entropy = metrics["normalised_entropy"]
        yield Check("normalised entropy", entropy, f"at most {most:.4f}", entropy <= most)
    bins = NumberBins.fit(current_predictions.score)
    drift = population_shift(np.array(bins.rows), bins.count(predictions.score))
    passed = not drift.exceeds(limits.max_score_drift)
    yield Check("score drift (PSI)", drift.index, f"at most {limits.max_score_drift:g}", passed)


def _metrics(bundle: Bundle, predictions: Predictions) -> dict[str, float]:
    metrics = all_metrics(predictions.scored(bundle.calibrated_model.task), ())
    return {name: metrics[name] for name in _COMPARED if name in metrics}


def _largest_unknown_share(bundle: Bundle, dataset: Dataset) -> float:
    """The largest share of unknown ids in any one column."""
    unknown = np.array([field.unknown_id for field in bundle.feature_map.column_fields])
    counts, rows = np.zeros(len(unknown)), 0
    for batch in encoded_batches(dataset, SPLIT):
        counts, rows = counts + (batch.ids.numpy() == unknown).sum(axis=0), rows + len(batch.ids)
    return float(counts.max() / max(1, rows))
