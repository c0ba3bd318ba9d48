"""What a training does by default: it starts from a sampled FM, where one can be sampled."""

import json
from pathlib import Path

import numpy as np
import pytest

from afm_core.bundle import Bundle, read_bundle
from afm_core.settings import load_settings
from afm_core.settings.train import TrainSettings, WarmStartSettings
from pipelines.evaluation.predictions import score_split
from pipelines.training import stages
from tests.support.jobs import RunJob
from tests.support.processes import finish
from tests.support.ranks import needs_horovod, start_ranks
from tests.support.small import Small

DEFAULTS = {"task": "classification", "batch_size": 64, "epochs": 2, "warm_start": "auto"}
SIZES = {"embedding_dim": 8, "attention_dim": 4, "pooled_dropout": 0, "attention_l2": 0}


def bundles(config: Path) -> tuple[Bundle, Bundle]:
    run = load_settings(config).run
    return read_bundle(run.warm_start_bundle), read_bundle(run.bundle)


def test_it_is_the_default() -> None:
    assert TrainSettings().warm_start == WarmStartSettings(fit="auto", start="sum")
    assert TrainSettings(warm_start="auto") == TrainSettings()


def test_an_fm_goes_on_from_a_sampled_one_and_an_afm_from_that_fm(
    run_job: RunJob, small: Small, tmp_path: Path
) -> None:
    config = small.training_config(tmp_path / "afm", DEFAULTS, model={"name": "afm", **SIZES})
    outcome = run_job("train", config)
    assert outcome.code == 0, outcome.err
    told = " ".join(outcome.out.split())
    assert "mean of 200 sweeps of Gibbs sampling not published fm valid log loss" in told
    fm, afm = bundles(config)
    assert afm.metrics["valid"] <= fm.metrics["valid"] * (1 + 1e-5)
    assert fm.settings.train.warm_start is not None
    assert fm.settings.train.warm_start.fit == "gibbs"
    assert afm.settings.model.attention_sum == "pairs", "what was decided is written down"
    assert run_job("evaluate", config).code == 0
    metrics = json.loads((load_settings(config).run.work / "evaluation.json").read_text())["metrics"]
    assert list(metrics) == ["fm", "afm"]

    alone = small.training_config(tmp_path / "fm", DEFAULTS, model={"name": "fm", **SIZES})
    assert run_job("train", alone).code == 0
    assert not load_settings(alone).run.warm_start_bundle.exists()
    assert read_bundle(load_settings(alone).run.bundle).metrics["valid"] == fm.metrics["valid"]
    assert run_job("evaluate", alone).code == 0


@needs_horovod
def test_two_ranks_decide_alike(small: Small, tmp_path: Path) -> None:
    config = small.training_config(tmp_path, DEFAULTS, model={"name": "fm", **SIZES})
    assert "fm_start" in finish(start_ranks(config))


@pytest.mark.parametrize(
    ("train", "sections", "largest"),
    [
        ({"task": "ranking"}, {}, None),
        ({}, {}, 100),
        ({}, {"model": {"name": "linear"}}, None),
        ({"warm_start": None}, {}, None),
    ],
    ids=["ranking", "too many rows", "linear", "null"],
)
def test_a_model_whose_fm_cannot_be_sampled_starts_at_random(
    run_job: RunJob,
    small: Small,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    train: dict,
    sections: dict,
    largest: int | None,
) -> None:
    if largest:
        monkeypatch.setattr(stages, "_LARGEST_SAMPLE", largest)
    if train.get("task") == "ranking":
        sections = {"split": {"train": 0.7, "valid": 0.2, "test": 0.1, "by": "positive"}}
        sections["dataset"] = {"path": str(tmp_path / "dataset")}
        assert run_job("prepare", small.training_config(tmp_path, {**DEFAULTS, **train}, **sections)).code == 0
    model = {"name": "afm", **SIZES, **sections.pop("model", {})}
    config = small.training_config(tmp_path, {**DEFAULTS, **train}, model=model, **sections)
    outcome = run_job("train", config)
    assert outcome.code == 0, outcome.err
    assert not load_settings(config).run.warm_start_bundle.exists()
    is_told = "from random weights, as no FM can be sampled" in " ".join((outcome.out + outcome.err).split())
    assert is_told == (load_settings(config).warm_start is not None)
    bundle = read_bundle(load_settings(config).run.bundle)
    assert bundle.settings.warm_start is None
    assert bundle.settings.model.attention_sum in ("one", None)


def test_weights_of_events_are_trained_with_and_not_sampled(small: Small) -> None:
    config = small.training_config(small.folder / "weighted", DEFAULTS, label={"weight": "day"})
    decided = stages.planned(load_settings(config), small.dataset)
    assert decided.warm_start is None


def test_an_afm_that_goes_on_from_a_bundle_keeps_its_scale_of_attention(
    run_job: RunJob, small: Small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = {"name": "afm", **SIZES}
    config = small.training_config(tmp_path / "first", DEFAULTS, model=model)
    assert run_job("train", config).code == 0
    _, before = bundles(config)
    monkeypatch.setattr(stages, "_LARGEST_SAMPLE", 100)
    further = small.training_config(tmp_path / "further", {**DEFAULTS, "learning_rate": 20}, model=model)
    outcome = run_job("train", further, "--from", str(before.path))
    assert outcome.code == 0, outcome.err
    after = read_bundle(load_settings(further).run.bundle)
    assert after.settings.model.attention_sum == "pairs"
    assert after.metrics["valid"] == pytest.approx(before.metrics["valid"], rel=1e-5)


def test_the_validation_loss_is_that_of_the_published_scores(run_job: RunJob, small: Small, tmp_path: Path) -> None:
    train = {**DEFAULTS, "warm_start": None, "optimizer": "adam", "learning_rate": 0.1, "epochs": 4, "patience": 4}
    config = small.training_config(tmp_path, train, model={"name": "fm", **SIZES})
    assert run_job("train", config).code == 0
    bundle = read_bundle(load_settings(config).run.bundle)
    split = score_split(bundle.scorer, small.dataset, "valid", None)
    chance, positive = split.score.astype(np.float64), split.label > 0
    loss = -np.log(np.where(positive, chance, 1 - chance)).mean()
    assert bundle.metrics["valid"] == pytest.approx(loss, rel=1e-4)
    assert bundle.calibrated_model.slope < 0.9, "such a model is overconfident"
