"""The comparison of models, on the small dataset."""

import json
from pathlib import Path

import pytest

from afm_core.errors import SettingsError
from afm_core.models import REGISTRY
from afm_core.settings import load_settings
from tests.conftest import RunJob, Small, snapshot, write_config

ENTRIES = {name: {"model": {"name": name, "layers": [8], "pair_buckets": 1000}} for name in REGISTRY}
ENTRIES |= {"sum": {"model": {"attention": False}, "train": {"epochs": 1}, "paper_rmse": 0.3385}}


@pytest.fixture
def config(small: Small, tmp_path: Path) -> Path:
    dataset = {"path": str(small.settings.dataset.path), "rows_per_file": 256}
    train = {"warm_start": {"model": "fm", "epochs": 1}, "epochs": 1}
    return write_config(tmp_path, small.settings.logs.path, dataset=dataset, train=train, compare=ENTRIES)


def test_every_model_is_trained_once_and_read_back_the_second_time(config: Path, run_job: RunJob) -> None:
    assert "sum" in run_job("compare", config, "--dry-run").out
    first = run_job("compare", config)
    assert first.code == 0, first.err
    run = load_settings(config).run.path
    results = {found["name"]: found for found in json.loads((run / "compare.json").read_text())}
    assert sorted(results) == sorted([*REGISTRY, "sum"])
    assert all(0.3 < found["test"]["rmse"] < 1.2 for found in results.values())
    assert results["sum"]["paper_rmse"] == 0.3385
    assert results["linear"]["parameters"] < results["fm"]["parameters"] < results["afm"]["parameters"]
    assert "| dcn_v2 |" in (run / "compare.md").read_text()
    before = snapshot(run / "compare")
    again = run_job("compare", config)
    assert again.code == 0
    assert snapshot(run / "compare") == before
    other = run_job("compare", config, "--set", "compare.linear.train={epochs: 2}")
    assert other.code == 0
    changed = {name for name, digest in snapshot(run / "compare").items() if before.get(name) != digest}
    assert {Path(name).parts[0] for name in changed} == {"linear"}


def test_a_wrong_key_of_an_entry_is_one_line(config: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(config, ["compare.fm.model={embeding_dim: 3}", "compare.fm.trian={epochs: 2}"])
    assert any("compare.fm.trian: unknown key; did you mean train?" in line for line in caught.value.problems)
    with pytest.raises(SettingsError, match=r"compare\.fm\.model\.embeding_dim: found 3"):
        load_settings(config, ["compare.fm.model={embeding_dim: 3}"])
