"""Gibbs sampling of an FM as a training of its own and as the start of an AFM, through the jobs."""

import signal
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
import torch

from afm_core.bundle import Bundle, read_bundle
from afm_core.learning.calibration import fit_clipped
from afm_core.settings import load_settings
from pipelines.feeding.feed import Feed
from pipelines.feeding.shard_plan import ShardPlan
from tests.support.jobs import RunJob
from tests.support.processes import finish, start_job
from tests.support.ranks import needs_horovod, start_ranks
from tests.support.small import Small
from tests.support.waiting import wait_for

FM = {"name": "fm", "embedding_dim": 8}
SAMPLED = {"task": "classification", "fit": "gibbs", "sweeps": 40, "batch_size": 64, "warm_start": None}


def bundle_of(config: Path) -> Bundle:
    return read_bundle(load_settings(config).run.bundle)


def one_line(outcome_err: str) -> str:
    return " ".join(outcome_err.split())


@pytest.fixture(scope="module")
def sampled(small: Small, tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = small.training_config(tmp_path_factory.mktemp("sampled"), SAMPLED, model=FM)
    finish(start_job("train", config))
    return config


def test_it_is_better_than_gradient_descent_without_tuning(run_job: RunJob, small: Small, sampled: Path) -> None:
    descended = small.training_config(sampled.parent / "descended", {**SAMPLED, "fit": "gradient"}, model=FM)
    assert run_job("train", descended).code == 0
    ours, theirs = bundle_of(sampled), bundle_of(descended)
    assert ours.metrics["valid"] < theirs.metrics["valid"]
    assert "40 sweeps of Gibbs sampling" in (ours.path / "card.md").read_text()
    assert len(ours.metrics["epochs"]) == 10
    assert ours.metrics["epochs"][-1]["valid"] == ours.metrics["valid"]
    assert run_job("evaluate", sampled).code == 0


def test_for_regression_its_outputs_are_on_the_scale_of_the_labels(
    run_job: RunJob, small: Small, tmp_path: Path
) -> None:
    config = small.training_config(tmp_path, {**SAMPLED, "task": "regression"}, model=FM)
    assert run_job("train", config).code == 0
    model, manifest = bundle_of(config).model.eval(), small.dataset.manifest
    plan = ShardPlan(manifest.splits["valid"].rows, manifest.rows_per_file, 64, 0, 1)
    batches = list(Feed(small.dataset, "valid", plan, None).epoch(0))
    with torch.inference_mode():
        output = torch.cat([model(batch.encoded) for batch in batches]).numpy()
    label = torch.cat([batch.label for batch in batches]).numpy()
    assert fit_clipped(output, label, list) == pytest.approx((1.0, 0.0), abs=1e-3)


@needs_horovod
def test_two_ranks_end_with_the_fm_of_one(small: Small, sampled: Path, tmp_path: Path) -> None:
    config = small.training_config(tmp_path, SAMPLED, model=FM)
    out = finish(start_ranks(config))
    assert "mean of 40 sweeps of Gibbs sampling" in " ".join(out.split())
    one, two = bundle_of(sampled).model.state_dict(), bundle_of(config).model.state_dict()
    for name, weight in one.items():
        torch.testing.assert_close(two[name], weight, rtol=1e-4, atol=1e-6, msg=name)


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_an_afm_of_even_weights_begins_with_the_outputs_of_the_sampled_fm(
    run_job: RunJob, small: Small, tmp_path: Path, task: str
) -> None:
    train = {
        **{"task": task, "batch_size": 64, "epochs": 1, "learning_rate": 20},
        **{"warm_start": {"model": "fm", "fit": "gibbs", "sweeps": 20, "start": "sum"}},
    }
    model = {"name": "afm", "embedding_dim": 8, "attention_dim": 4, "attention_sum": "pairs"}
    config = small.training_config(tmp_path, train, model=model)
    outcome = run_job("train", config)
    assert outcome.code == 0, outcome.err
    fm, afm = read_bundle(load_settings(config).run.warm_start_bundle), bundle_of(config)
    assert afm.metrics["valid"] == pytest.approx(fm.metrics["valid"], rel=1e-5)
    assert "no epoch was better than what it started from, which is kept" in one_line(outcome.out)


@pytest.mark.parametrize(
    ("train", "model", "sections", "told"),
    [
        ({"fit": "gibbs"}, {"name": "afm"}, {}, "train.fit: gibbs is for model.name: fm, found afm; start it from one"),
        ({"fit": "gibbs"}, FM, {"label": {"weight": "day"}}, "train.fit: gibbs takes no weights"),
        ({"fit": "gibbs", "sweeps": 9}, FM, {}, "train.sweeps"),
        ({"fit": "gibbs", "task": "ranking"}, FM, {"split": {"by": "positive"}}, "found ranking"),
        (
            {"warm_start": {"fit": "gibbs", "keep_optimizer_state": True}},
            {"name": "afm"},
            {},
            "keep_optimizer_state needs fit: gradient",
        ),
    ],
)
def test_what_cannot_be_sampled_is_refused_in_one_line(
    run_job: RunJob, small: Small, tmp_path: Path, train: dict, model: dict, sections: dict, told: str
) -> None:
    outcome = run_job("train", small.training_config(tmp_path, train, model=model, **sections))
    assert outcome.code == 2
    assert len(outcome.errors) == 1
    assert told in outcome.errors[0]


def test_a_comparison_does_not_fit_another_model_by_gradient_instead(
    run_job: RunJob, small: Small, tmp_path: Path
) -> None:
    compare = {"afm": {"model": {"name": "afm"}}}
    outcome = run_job("compare", small.training_config(tmp_path, SAMPLED, model=FM, compare=compare))
    assert outcome.code == 2
    assert "train.fit: gibbs is for model.name: fm, found afm" in outcome.errors[0]


def test_rows_that_do_not_fit_in_memory_are_refused_in_one_line(
    run_job: RunJob, small: Small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=1000))
    outcome = run_job("train", small.training_config(tmp_path, SAMPLED, model=FM))
    assert outcome.code != 0
    assert "holds all" in outcome.errors[0]
    assert "fit by gradient, or use a larger machine" in outcome.errors[0]


def test_a_sampled_fm_does_not_go_on_from_an_earlier_one(run_job: RunJob, small: Small, sampled: Path) -> None:
    outcome = run_job("train", sampled, "--from", str(bundle_of(sampled).path))
    assert outcome.code != 0
    assert "draws anew" in outcome.errors[0]


def test_a_signal_ends_it_with_the_code_of_an_interruption(small: Small, tmp_path: Path) -> None:
    config = small.training_config(tmp_path, {**SAMPLED, "sweeps": 20_000}, model=FM)
    process = start_job("train", config)
    history = load_settings(config).run.history
    wait_for(lambda: history.exists() and history.read_text(), "the first sweeps are reported", process)
    process.send_signal(signal.SIGTERM)
    assert "stopped by signal 15 during Gibbs sampling, which begins anew" in one_line(finish(process, 143))
