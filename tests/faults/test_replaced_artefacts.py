"""What a job has opened is what it uses to its end, whatever is published there in the meantime."""

import shutil
from datetime import date
from pathlib import Path

import pytest

from afm_core.bundle import read_bundle
from afm_core.bundle_versions import fingerprint_of, publish_copy
from afm_core.settings import load_settings
from afm_core.storage.places import Place
from afm_core.storage.publishing import staged
from pipelines import phases
from pipelines.dataset import Dataset
from pipelines.preparation.prepare import DATASET_CONTENT
from tests.support.config import FIELDS, NIGHT, write_config
from tests.support.jobs import RunJob
from tests.support.nights import read_manifest, sorted_scores

CROSSED = {"name": "user_place", "kind": "crossed", "of": ["user", "place"], "buckets": 32}
FEWER_DAYS = ("--set", "logs.last_date=2026-01-02")


def republish(source: Path, target: Path) -> None:
    with staged(Place.of(target), DATASET_CONTENT) as stage:
        shutil.copytree(source, stage, dirs_exist_ok=True, ignore=shutil.ignore_patterns(".lease"))


def at(monkeypatch: pytest.MonkeyPatch, phase: str, act) -> None:  # type: ignore[no-untyped-def]
    """Do something once, when a job of this process first reaches a phase."""
    done: list[bool] = []

    def listener(reached: str, context: object) -> None:
        if reached == phase and not done:
            done.append(True)
            act()

    monkeypatch.setattr(phases, "_listeners", [listener])


@pytest.mark.parametrize(
    "split", [pytest.param({"by": "random"}, marks=pytest.mark.long), {"by": "leave_one_out", "of": "user"}]
)
def test_a_training_keeps_the_dataset_that_it_has_opened(
    split: dict[str, str], logs: Path, tmp_path: Path, run_job: RunJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other one has as many rows in each file, so that no count tells them apart, and other ids."""
    config = write_config(tmp_path, logs, split=split)
    user, _, *context = FIELDS
    rarer = [{"name": user, "min_count": 2}, {"name": "app", "min_count": 9}, *context]
    other_config = write_config(tmp_path / "other", logs, split=split, fields=rarer)
    settings = load_settings(config)
    assert [run_job("prepare", each).code for each in (config, other_config)] == [0, 0]
    opened, other = Dataset.open(settings.dataset.path), Dataset.open(tmp_path / "other" / "dataset")
    assert opened.manifest.splits == other.manifest.splits
    assert opened.feature_map.fingerprint != other.feature_map.fingerprint
    assert run_job("train", config).code == 0
    undisturbed = read_bundle(settings.run.bundle)

    at(monkeypatch, phases.STEP_DONE, lambda: republish(other.path, settings.dataset.path))
    outcome = run_job("train", config)

    assert outcome.code == 0, outcome.err
    assert Dataset.open(settings.dataset.path).manifest.digest == other.manifest.digest, "it was published"
    bundle = read_bundle(settings.run.bundle)
    assert bundle.path != undisturbed.path
    assert bundle.feature_map.fingerprint == opened.feature_map.fingerprint
    trained, again = ((path / "weights.safetensors").read_bytes() for path in (undisturbed.path, bundle.path))
    assert trained == again, "it was trained on the dataset that it had opened, to the end"
    outcome = run_job("evaluate", config)
    assert outcome.code == 2
    assert "trained with feature map" in outcome.errors[0]


def test_a_training_on_a_copy_that_is_replaced_stops_in_one_line(
    logs: Path, tmp_path: Path, run_job: RunJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A plain folder is no version: somebody may put another dataset in its place."""
    config = write_config(tmp_path, logs)
    assert run_job("prepare", config).code == 0
    assert run_job("prepare", config, *FEWER_DAYS, "--set", f"dataset.path={tmp_path / 'other'}").code == 0
    copy = ("--set", f"dataset.path={shutil.copytree(tmp_path / 'dataset', tmp_path / 'copy')}")

    at(monkeypatch, phases.STEP_DONE, lambda: republish(tmp_path / "other", tmp_path / "copy"))
    outcome = run_job("train", config, *copy)

    assert outcome.code in (2, 75), "files are missing, or their content is not that of the manifest"
    assert len(outcome.errors) == 1
    assert not (tmp_path / "run" / "bundle").exists()


def test_a_promotion_between_two_nights_leaves_both_to_the_bundle_that_was_opened(
    logs: Path, tmp_path: Path, run_job: RunJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The driver joins the ids of a crossed field, and Python workers that are used again look up the others."""
    nights = ("2026-01-03", NIGHT)
    score = {"bundle": str(tmp_path / "run" / "current")}
    config = write_config(tmp_path, logs, fields=[*FIELDS, CROSSED], score=score)
    settings = load_settings(config)
    for job, extra in (("prepare", FEWER_DAYS), ("train", ()), ("prepare", ()), ("train", ())):
        assert run_job(job, config, *extra).code == 0
    other, opened = (read_bundle(path) for path in Place.of(settings.run.bundle).all_versions)
    assert opened.feature_map.fingerprint != other.feature_map.fingerprint
    current = Place.of(settings.run.current)
    publish_copy(opened.path, opened.fingerprint, current)
    run = ("--from", nights[0], "--to", nights[1])
    alone = ("--set", f"score.path={tmp_path / 'alone'}")
    assert run_job("score", config, *run, *alone).code == 0

    at(monkeypatch, phases.PUBLISHED, lambda: publish_copy(other.path, other.fingerprint, current))
    outcome = run_job("score", config, *run)

    assert outcome.code == 0, outcome.err
    assert current.current
    assert fingerprint_of(current.current) == other.fingerprint, "it was promoted"
    for night in nights:
        manifest = read_manifest(settings.nightly.path, date.fromisoformat(night))
        assert manifest
        assert manifest.model == opened.fingerprint
        published = sorted_scores(settings.nightly.path / f"dt={night}")
        assert published.equals(sorted_scores(tmp_path / "alone" / f"dt={night}"))
        assert set(published["model"].to_pylist()) == {opened.fingerprint}
