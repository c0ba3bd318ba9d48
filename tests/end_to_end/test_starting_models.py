"""A training never publishes a model that is worse on validation than the one that it started from."""

from pathlib import Path

import pytest
import torch

from afm_core.bundle import read_bundle
from pipelines.dataset import Dataset
from pipelines.feeding.feed import Feed
from pipelines.feeding.shard_plan import ShardPlan
from tests.support.jobs import RunJob
from tests.support.processes import finish
from tests.support.ranks import needs_horovod, start_ranks
from tests.support.small import Small


def options(folder: Path, *more: str) -> list[str]:
    """A rate at which the first steps destroy what they start from."""
    changes = [f"run.path={folder}/run", "train.learning_rate=20", "train.warm_start.learning_rate=0.05", *more]
    return [part for change in changes for part in ("--set", change)]


def outputs(bundle: Path, dataset: Path) -> torch.Tensor:
    opened = Dataset.open(dataset)
    plan = ShardPlan(opened.manifest.splits["valid"].rows, opened.manifest.rows_per_file, 64, 0, 1)
    model = read_bundle(bundle).model.eval()
    with torch.inference_mode():
        return torch.cat([model(batch.encoded) for batch in Feed(opened, "valid", plan, None).epoch(0)])


@pytest.mark.parametrize(("task", "start"), [("regression", "mean"), ("regression", "sum"), ("classification", "mean")])
def test_an_afm_that_gets_worse_than_its_fm_is_the_fm(
    run_job: RunJob, small: Small, tmp_path: Path, task: str, start: str
) -> None:
    changes = options(tmp_path, f"train.warm_start.start={start}", f"train.task={task}")
    outcome = run_job("train", small.config, *changes)
    assert outcome.code == 0, outcome.err
    told = " ".join(outcome.out.split())
    assert "no epoch was better than what it started from, which is kept; lower train.learning_rate" in told
    assert "at epoch 0 of 2" in told
    fm, afm = (read_bundle(tmp_path / "run" / name) for name in ("bundle_warm_start", "bundle"))
    assert afm.metrics["valid"] == pytest.approx(fm.metrics["valid"], rel=1e-5)
    assert min(epoch["valid"] for epoch in afm.metrics["epochs"]) > afm.metrics["valid"]
    theirs, ours = (outputs(bundle.path, small.settings.dataset.path) for bundle in (fm, afm))
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
    assert "what it started from: no epoch was better" in (afm.path / "card.md").read_text()


def test_a_model_that_goes_on_from_an_earlier_bundle_is_never_worse(
    run_job: RunJob, small: Small, tmp_path: Path
) -> None:
    parent = small.settings.run.bundle
    outcome = run_job("train", small.config, "--from", str(parent), *options(tmp_path))
    assert outcome.code == 0, outcome.err
    before, after = read_bundle(parent), read_bundle(tmp_path / "run" / "bundle")
    assert after.metrics["valid"] == pytest.approx(before.metrics["valid"], rel=1e-6)
    for name, weight in before.model.state_dict().items():
        assert torch.equal(after.model.state_dict()[name], weight)


def test_a_model_that_cannot_give_the_outputs_of_its_start_says_that_it_is_worse(
    run_job: RunJob, small: Small, tmp_path: Path
) -> None:
    outcome = run_job("train", small.config, *options(tmp_path, "model.name=nfm", "train.epochs=1"))
    assert outcome.code == 0, outcome.err
    fm, nfm = (read_bundle(tmp_path / "run" / name).metrics["valid"] for name in ("bundle_warm_start", "bundle"))
    assert nfm > fm
    assert f"worse than what it started from ({fm:.4f}); lower train.learning_rate" in " ".join(outcome.out.split())


@pytest.mark.parametrize("from_bundle", [False, True])
def test_the_copied_parameters_may_go_on_with_the_state_of_their_optimiser(
    run_job: RunJob, small: Small, tmp_path: Path, from_bundle: bool
) -> None:
    """Adagrad's accumulators only grow, so those of the AFM are nowhere below those that it began with."""
    fm = read_bundle(small.settings.run.warm_start_bundle)
    grown = {}
    for keep in (True, False):
        run = tmp_path / str(keep)
        changes = [f"run.path={run}", f"train.warm_start.keep_optimizer_state={keep}", "train.epochs=1"]
        changes += [f"train.warm_start.bundle={fm.path}"] * from_bundle
        outcome = run_job("train", small.config, *(part for change in changes for part in ("--set", change)))
        assert outcome.code == 0, outcome.err
        before, after = fm.read_optimizer(), read_bundle(run / "bundle").read_optimizer()
        names = [name for name in before if name.endswith("/sum")]
        grown[keep] = all(bool((after[name] >= before[name]).all()) for name in names)
        assert names
    assert grown == {True: True, False: False}


def test_the_state_of_another_optimiser_is_not_kept(run_job: RunJob, small: Small, tmp_path: Path) -> None:
    keep = ["--set", "train.warm_start.keep_optimizer_state=true", "--set", f"run.path={tmp_path}/run"]
    outcome = run_job("train", small.config, *keep, "--set", "train.warm_start.optimizer=sgd")
    assert outcome.code == 2
    assert "keep_optimizer_state needs one optimiser for both, found sgd and adagrad" in outcome.err
    fm = f"train.warm_start.bundle={small.settings.run.warm_start_bundle}"
    outcome = run_job("train", small.config, *keep, "--set", fm, "--set", "train.optimizer=adam")
    assert outcome.code == 2
    assert "was trained by adagrad, train.optimizer is adam" in outcome.err


@needs_horovod
def test_ranks_agree_on_the_start(small: Small, tmp_path: Path) -> None:
    finish(start_ranks(small.config, *options(tmp_path)))
    fm, afm = (read_bundle(tmp_path / "run" / name).metrics["valid"] for name in ("bundle_warm_start", "bundle"))
    assert afm == pytest.approx(fm, rel=1e-5)
