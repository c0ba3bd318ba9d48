"""The gate: a worse bundle does not become the current one."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from afm_core.bundle import read_bundle
from afm_core.bundle_versions import fingerprint_of, publish_copy
from afm_core.settings import Settings, load_settings
from afm_core.storage.places import Place
from pipelines.dataset import Dataset
from pipelines.evaluation import promotion
from pipelines.evaluation.predictions import score_split
from tests.support.config import NIGHT, write_config
from tests.support.datasets import change_rows, with_column
from tests.support.files import snapshot
from tests.support.jobs import RunJob
from tests.support.retrained import change_settings, spoil
from tests.support.small import Small


@pytest.fixture
def config(small: Small, tmp_path: Path) -> Path:
    shutil.copytree(small.settings.run.bundle, tmp_path / "run" / "bundle")
    scored_by = {"bundle": str(tmp_path / "run" / "current")}
    dataset = {"path": str(small.settings.dataset.path)}
    # So few rows calibrate a model badly; what is tested is the comparison.
    limits = {"calibration_range": [0.1, 10.0]}
    return write_config(tmp_path, small.settings.nightly.logs, dataset=dataset, score=scored_by, promote=limits)


def test_the_first_bundle_is_promoted_and_scores(config: Path, tmp_path: Path, run_job: RunJob) -> None:
    before = run_job("score", config, "--date", NIGHT)
    assert before.code == 2
    assert "no complete bundle" in before.errors[0], "nothing was promoted yet"
    outcome = run_job("promote", config)
    assert outcome.code == 0, outcome.err
    assert "nothing to compare with" in outcome.out
    assert snapshot(tmp_path / "run" / "current") == snapshot(tmp_path / "run" / "bundle")
    assert run_job("score", config, "--date", NIGHT).code == 0


def test_a_worse_bundle_is_refused_by_name_and_the_current_one_stays(
    config: Path, tmp_path: Path, run_job: RunJob
) -> None:
    assert run_job("promote", config).code == 0
    kept = snapshot(tmp_path / "run" / "current")
    again = run_job("promote", config)
    assert again.code == 0, "an equal bundle is as good"
    assert "against" in again.out
    spoil(config, 0.5)
    outcome = run_job("promote", config)
    assert outcome.code == 2
    (line,) = outcome.errors
    assert "not promoted: AUC" in line
    assert "allowed is at least" in line
    assert snapshot(tmp_path / "run" / "current") == kept


def test_a_current_bundle_that_a_killed_run_had_moved_aside_is_compared(
    config: Path, tmp_path: Path, run_job: RunJob
) -> None:
    """What an earlier release published as a plain folder becomes a version; a run was killed while it moved it."""
    adopted = tmp_path / "run" / "current.versions" / "20260101T000000.000000Z-00000000"
    shutil.copytree(tmp_path / "run" / "bundle", adopted)
    (adopted.parent / ".adopting").write_text(adopted.name)
    spoil(config, 0.5)
    outcome = run_job("promote", config)
    assert outcome.code == 2
    assert "not promoted: AUC" in outcome.errors[0]
    assert read_bundle(tmp_path / "run" / "current").path == adopted


def test_roll_back_moves_the_pointer_to_a_bundle_that_was_promoted_before(
    config: Path, tmp_path: Path, run_job: RunJob
) -> None:
    current = tmp_path / "run" / "current"
    assert run_job("promote", config).code == 0
    first, kept = read_bundle(current), snapshot(current)
    spoil(config, 0.01)
    wide = ("--set", "promote.max_auc_drop=1", "--set", "promote.max_entropy_increase=9")
    assert run_job("promote", config, *wide).code == 0
    assert read_bundle(current).fingerprint != first.fingerprint
    outcome = run_job("promote", config, "--to", first.fingerprint)
    assert outcome.code == 0, outcome.err
    assert snapshot(current) == kept
    assert current.resolve() == first.path, "a pointer was moved, nothing was copied"


def test_roll_back_to_a_bundle_that_is_not_kept_names_those_that_are(config: Path, run_job: RunJob) -> None:
    assert run_job("promote", config).code == 0
    kept = read_bundle(load_settings(config).run.current).fingerprint
    outcome = run_job("promote", config, "--to", "0123456789abcdef")
    assert outcome.code == 2
    (line,) = outcome.errors
    assert "no bundle 0123456789abcdef is kept there" in line
    assert f"allowed are {kept}" in line


def test_a_bundle_that_was_promoted_during_the_comparison_is_not_replaced(
    config: Path, tmp_path: Path, run_job: RunJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither is compared with the other; the one that finishes last says so and changes nothing."""
    settings = load_settings(config)
    assert run_job("promote", config).code == 0

    def another_run_promotes(*arguments: object, **options: object) -> object:
        new = read_bundle(settings.run.bundle)
        publish_copy(new.path, new.fingerprint, Place.of(settings.run.current))
        return score_split(*arguments, **options)

    monkeypatch.setattr(promotion, "score_split", another_run_promotes)
    outcome = run_job("promote", config)
    assert outcome.code == 75
    assert "another run has published there" in outcome.errors[0]


def test_a_bundle_that_is_trained_during_the_comparison_is_not_promoted_with_it(
    config: Path, tmp_path: Path, run_job: RunJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = load_settings(config)
    spoil(config, 0.0)
    compared = read_bundle(settings.run.bundle).fingerprint

    def a_training_ends(*arguments: object, **options: object) -> object:
        spoil(config, 0.5)
        return score_split(*arguments, **options)

    monkeypatch.setattr(promotion, "score_split", a_training_ends)
    outcome = run_job("promote", config)
    assert outcome.code == 0
    assert compared in outcome.out
    assert read_bundle(settings.run.current).fingerprint == compared != read_bundle(settings.run.bundle).fingerprint


@pytest.mark.parametrize(
    ("limit", "reason"),
    [
        ("promote.calibration_range=[20.0, 30.0]", "calibration ratio"),
        ("promote.max_score_drift=0.0001", "score drift"),
    ],
)
def test_every_limit_can_refuse(config: Path, run_job: RunJob, limit: str, reason: str) -> None:
    assert run_job("promote", config).code == 0
    spoil(config, 0.05)
    wide = (
        "--set",
        "promote.max_auc_drop=1",
        "--set",
        "promote.max_entropy_increase=9",
        "--set",
        "promote.max_score_drift=9",
    )
    assert run_job("promote", config, *wide).code == 0
    spoil(config, 0.5)
    outcome = run_job("promote", config, *wide, "--set", limit)
    assert outcome.code == 2
    assert f"not promoted: {reason}" in outcome.errors[0]


def test_a_map_that_knows_too_little_of_the_validation_split_is_refused(
    config: Path, small: Small, tmp_path: Path, run_job: RunJob
) -> None:
    dataset = shutil.copytree(small.settings.dataset.path, tmp_path / "dataset")
    unknown = Dataset.open(dataset).feature_map["user"].unknown_id

    def half_unknown(table: pa.Table) -> pa.Table:
        users = table["user"].to_numpy().copy()
        users[::2] = unknown
        return with_column(table, "user", users)

    change_rows(dataset, "valid", half_unknown)
    of_it = ("--set", f"dataset.path={dataset}")
    outcome = run_job("promote", config, *of_it, "--set", "promote.max_unknown=0.4")
    assert outcome.code == 2
    assert "not promoted: unknown share 0.50" in outcome.errors[0]
    assert "allowed is at most 0.4" in outcome.errors[0]
    assert not (tmp_path / "run" / "current").exists()
    assert run_job("promote", config, *of_it, "--set", "promote.max_unknown=0.6").code == 0


def with_labels(dataset: Path, folder: Path, change: Callable[[np.ndarray], np.ndarray]) -> tuple[str, str]:
    """An override that names a copy of the dataset with other labels in its validation split."""
    copy = Path(shutil.copytree(dataset, folder / "dataset"))
    change_rows(copy, "valid", lambda table: with_column(table, "label", change(table["label"].to_numpy())))
    return ("--set", f"dataset.path={copy}")


def test_bundles_of_labels_that_are_numbers_are_compared_by_their_rmse(
    config: Path, small: Small, tmp_path: Path, run_job: RunJob
) -> None:
    numbers = with_labels(small.settings.dataset.path, tmp_path, lambda label: label * 0.5)
    assert run_job("promote", config, *numbers).code == 0
    again = run_job("promote", config, *numbers)
    assert again.code == 0, again.err
    assert "RMSE" in again.out
    assert "AUC" not in again.out
    spoil(config, 0.5)
    outcome = run_job("promote", config, *numbers)
    assert outcome.code == 2
    assert "not promoted: RMSE" in outcome.errors[0]
    assert "allowed is at most" in outcome.errors[0]


def test_labels_that_are_all_equal_promote_nothing(config: Path, small: Small, tmp_path: Path, run_job: RunJob) -> None:
    equal = with_labels(small.settings.dataset.path, tmp_path, np.ones_like)
    outcome = run_job("promote", config, *equal)
    assert outcome.code == 2
    (line,) = outcome.errors
    assert "all labels of its valid split are 1" in line
    assert not (tmp_path / "run" / "current").exists()


def test_a_current_bundle_of_another_label_is_not_compared_and_that_is_said(
    config: Path, tmp_path: Path, run_job: RunJob
) -> None:
    """What it predicts is on another scale, so that it would block every bundle of the new label for ever."""
    assert run_job("promote", config).code == 0
    change_settings(config, lambda settings: with_range(settings, (0.0, 5.0)))
    outcome = run_job("promote", config)
    assert outcome.code == 0, outcome.err
    said = " ".join(outcome.out.split())
    assert "not compared with the current bundle, because its label.range is not set" in said
    assert fingerprint_of(tmp_path / "run" / "current") == fingerprint_of(tmp_path / "run" / "bundle")


def with_range(settings: Settings, label_range: tuple[float, float]) -> Settings:
    label = settings.label.model_copy(update={"column": "stars", "range": label_range})
    negatives = settings.negatives.model_copy(update={"per_positive": 0})
    return settings.model_copy(update={"label": label, "negatives": negatives})
