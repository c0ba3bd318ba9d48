"""Two real processes, of Horovod and of torch.distributed: the behaviour suite of the communicators."""

import json
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch

from afm_core.bundle import read_bundle
from tests.support.config import write_config
from tests.support.files import ROOT
from tests.support.ranks import TWO_RANKS, needs_horovod
from tests.support.small import Small

pytestmark = needs_horovod


LAUNCHERS = {"horovodrun": "2 ranks by Horovod", "torchrun": "2 ranks by torch.distributed (gloo)"}


def two_ranks(launcher: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [*TWO_RANKS[launcher], sys.executable, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


def test_two_processes_read_every_training_row_exactly_once_an_epoch(small: Small, tmp_path: Path) -> None:
    config = small.training_config(tmp_path, {})
    completed = two_ranks("horovodrun", ROOT / "tests" / "support" / "epoch_keys.py", config, 1, tmp_path)
    assert completed.returncode == 0, completed.stderr
    ranks = [(tmp_path / f"rank-{rank}").read_text().splitlines() for rank in range(2)]
    assert len(ranks[0]) == len(ranks[1]), "one step each, or a rank waits for ever"
    seen = [int(key) for lines in ranks for line in lines for key in line.split()]
    stored = pq.read_table(small.settings.dataset.path / "train", columns=["row_key"])["row_key"].to_pylist()
    assert sorted(seen) == sorted(stored)


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_two_processes_train_the_model_that_one_trains(small: Small, tmp_path: Path, launcher: str) -> None:
    """The ranks agree bit for bit at the end, or the job fails; and the result is as good as one rank's."""
    config = write_config(tmp_path, small.settings.logs.path, dataset={"path": str(small.settings.dataset.path)})
    completed = two_ranks(launcher, ROOT / "jobs" / "train.py", "--config", config)
    assert completed.returncode == 0, completed.stderr
    assert "2 rank(s)" in completed.stdout
    assert LAUNCHERS[launcher] in completed.stdout + completed.stderr
    ours, alone = read_bundle(tmp_path / "run" / "bundle"), read_bundle(small.settings.run.bundle)
    assert ours.metrics["valid"] == pytest.approx(alone.metrics["valid"], abs=0.03)
    steps = {epoch["steps"] for epoch in ours.metrics["epochs"]}
    assert steps == {epoch["steps"] for epoch in alone.metrics["epochs"]}
    history = [json.loads(line) for line in (tmp_path / "run" / "history.jsonl").read_text().splitlines()]
    assert [(line["model"], line["number"]) for line in history] == [("fm", 1), ("fm", 2), ("afm", 1), ("afm", 2)]


DISAGREE = """
import os, sys
from pathlib import Path
import torch
from afm_core.settings import load_settings
from pipelines.training.launcher import run_on_ranks

def say(*words):
    os.write(1, (" ".join(map(str, words)) + "\\n").encode())  # at once, or the ranks' words mix

def work(ranks, _):
    torch.manual_seed(ranks.rank)
    layer = torch.nn.Linear(3, 3)
    say("before", ranks.all_equal(layer))
    ranks.broadcast(layer)
    say("after", ranks.all_equal(layer))
    layer(torch.ones(1, 3) * (1 + ranks.rank)).sum().backward()
    ranks.sum_gradients(layer.parameters(), compress=sys.argv[2] == "compressed")
    say("gradient", layer.weight.grad[0].tolist(), ranks.sum([1.0, ranks.rank]))
    mean = torch.tensor([1.0 + ranks.rank, 4.0])
    ranks.average([mean])
    rows = ranks.gather(torch.full((1 + ranks.rank, 2), float(ranks.rank)))
    say("mean", mean.tolist(), "rows", rows.tolist())

run_on_ranks(load_settings(Path(sys.argv[1])), work)
"""


@pytest.mark.parametrize("launcher", LAUNCHERS)
@pytest.mark.parametrize("how", ["plain", "compressed"])
def test_ranks_that_disagree_are_noticed_and_gradients_are_summed(
    small: Small, tmp_path: Path, how: str, launcher: str
) -> None:
    script = tmp_path / "disagree.py"
    script.write_text(DISAGREE)
    completed = two_ranks(launcher, script, small.training_config(tmp_path, {}), how)
    assert completed.returncode == 0, completed.stderr
    assert completed.stdout.count("before False") == 2
    assert completed.stdout.count("after True") == 2
    assert completed.stdout.count("gradient [3.0, 3.0, 3.0] [2.0, 1.0]") == 2
    assert completed.stdout.count("mean [1.5, 4.0] rows [[0.0, 0.0], [1.0, 1.0], [1.0, 1.0]]") == 2


def test_alone_is_reproducible_bit_for_bit(small: Small, tmp_path: Path) -> None:
    config = write_config(tmp_path, small.settings.logs.path, dataset={"path": str(small.settings.dataset.path)})
    command = [sys.executable, str(ROOT / "jobs" / "train.py"), "--config", str(config)]
    subprocess.run(command, capture_output=True, check=True, timeout=300)
    ours, first = read_bundle(tmp_path / "run" / "bundle").model, read_bundle(small.settings.run.bundle).model
    for (name, one), other in zip(ours.state_dict().items(), first.state_dict().values(), strict=True):
        assert torch.equal(one, other), name
