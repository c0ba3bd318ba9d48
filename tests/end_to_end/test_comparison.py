"""Comparison, studies and search of settings, on the small dataset."""

import json
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import pytest

from afm_core.bundle import read_bundle
from afm_core.errors import SettingsError
from afm_core.models import REGISTRY
from afm_core.settings import load_settings
from pipelines.experiments.search_log import read_trials
from tests.support.config import write_config
from tests.support.files import snapshot
from tests.support.jobs import RunJob
from tests.support.small import Small

ENTRIES = {name: {"model": {"name": name, "layers": [8], "pair_buckets": 1000}} for name in REGISTRY}
ENTRIES |= {"sum": {"model": {"attention": False}, "train": {"epochs": 1}, "paper_rmse": 0.3385}}
FEW = {name: ENTRIES[name] for name in ("fm", "afm")}
STUDY = {"dropout": {"model": "afm", "key": "model.pooled_dropout", "values": [0, 0.5]}}


def config_of(small: Small, folder: Path, **sections: object) -> Path:
    dataset = {"path": str(small.settings.dataset.path), "rows_per_file": 256}
    train = {"warm_start": {"model": "fm", "epochs": 1}, "epochs": 1}
    return write_config(folder, small.settings.logs.path, dataset=dataset, train=train, **sections)


@pytest.fixture
def config(small: Small, tmp_path: Path) -> Path:
    return config_of(small, tmp_path, compare=ENTRIES)


def test_every_model_is_trained_once_and_read_back_the_second_time(config: Path, run_job: RunJob) -> None:
    assert "sum" in run_job("compare", config, "--dry-run").out
    first = run_job("compare", config)
    assert first.code == 0, first.err
    run = load_settings(config).run.path
    results = {found["name"]: found for found in json.loads((run / "compare.json").read_text())}
    assert sorted(results) == sorted([*REGISTRY, "sum"])
    assert all(0.3 < found["test"]["rmse"] < 1.2 for found in results.values())
    assert results["linear"]["parameters"] < results["fm"]["parameters"] < results["afm"]["parameters"]
    written = (run / "compare.md").read_text()
    assert "| dcn_v2 |" in written
    assert "| 0.3385 |" in written
    assert (run / "compare.png").stat().st_size > 10_000
    before = snapshot(run / "compare")
    again = run_job("compare", config)
    assert again.code == 0
    assert snapshot(run / "compare") == before
    other = run_job("compare", config, "--set", "compare.linear.train={epochs: 2}")
    assert other.code == 0
    changed = {name for name, digest in snapshot(run / "compare").items() if before.get(name) != digest}
    assert {Path(name).parts[0] for name in changed} == {"linear"}


def test_seeds_give_mean_and_spread_and_a_study_does_not_read_the_test_split(
    small: Small, tmp_path: Path, run_job: RunJob
) -> None:
    config = config_of(small, tmp_path, compare=FEW, seeds=[1, 2], studies=STUDY)
    outcome = run_job("compare", config, "--studies")
    assert outcome.code == 0, outcome.err
    run = load_settings(config).run.path
    results = json.loads((run / "compare.json").read_text())
    assert [(one["name"], one["seed"]) for one in results] == [("afm", 1), ("afm", 2), ("fm", 1), ("fm", 2)]
    assert results[0]["valid"] != results[1]["valid"]
    assert "seeds 1, 2" in (run / "compare.md").read_text()
    assert (run / "compare.md").read_text().count("±") >= 6
    assert (run / "study-dropout.png").stat().st_size > 10_000
    points = sorted((run / "studies").rglob("result.json"))
    assert [json.loads(point.read_text())["test"] for point in points] == [{}, {}]
    assert not list((run / "studies").rglob("evaluation.json"))


def test_a_search_that_was_cut_short_goes_on_as_if_it_had_not_been(
    small: Small, tmp_path: Path, run_job: RunJob
) -> None:
    space = {
        "model.pooled_dropout": {"low": 0.0, "high": 0.8, "models": ["fm", "afm"]},
        "train.learning_rate": {"low": 0.01, "high": 0.2, "log": True},
        "model.attention_l2": {"choices": [0.0, 0.01], "models": ["afm"]},
    }
    outcomes = []
    for name, cut in (("whole", False), ("cut", True)):
        folder = tmp_path / name
        search = {"trials": 3, "space": space, "path": str(folder / "searches")}
        config = config_of(small, folder, compare=FEW, search=search, run={"path": str(tmp_path / "run")})
        if cut:
            assert run_job("search", config, "--set", "search.trials=1").code == 0
            with (folder / "searches" / "small.jsonl").open("a") as log:
                log.write('{"name": "fm", "numb')
        outcome = run_job("search", config)
        assert outcome.code == 0, outcome.err
        assert "best on the validation split" in outcome.out
        trials = read_trials(folder / "searches" / "small.jsonl")
        outcomes.append(sorted((one.name, one.number, tuple(one.drawn.items()), one.valid) for one in trials))
    assert outcomes[0] == outcomes[1]
    assert [(name, number) for name, number, *_ in outcomes[0]] == [(n, at) for n in ("afm", "fm") for at in (1, 2, 3)]
    assert all(0.01 <= dict(drawn)["train.learning_rate"] <= 0.2 for _, _, drawn, _ in outcomes[0])
    assert {len(drawn) for name, _, drawn, _ in outcomes[0] if name == "fm"} == {2}
    assert not list((tmp_path / "run").rglob("evaluation.json")), "a search that reads the test split is a leak"


def test_a_search_needs_no_settings_begins_with_those_of_the_file_and_writes_the_best(
    small: Small, tmp_path: Path, run_job: RunJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    train = {"warm_start": None, "batch_size": 64, "epochs": 1}
    search = {"trials": 3, "path": str(tmp_path / "searches")}
    config = small.training_config(tmp_path, train, search=search)
    assert run_job("search", config, "--minutes", "0").code == 2
    with monkeypatch.context() as clock:
        # It reads the time when it begins, before each trial, and at both ends of one.
        clock.setattr("pipelines.experiments.search.time", SimpleNamespace(monotonic=count(0, 61).__next__))
        outcome = run_job("search", config, "--minutes", "2")
    assert outcome.code == 0, outcome.err
    assert len(read_trials(tmp_path / "searches" / "small.jsonl")) == 1, "no trial begins after two minutes"
    outcome = run_job("search", config)
    assert outcome.code == 0, outcome.err
    trials = read_trials(tmp_path / "searches" / "small.jsonl")
    settings = load_settings(config)
    assert [(trial.name, trial.number) for trial in trials] == [("afm", 1), ("afm", 2), ("afm", 3)]
    assert trials[0].drawn == {
        "train.learning_rate": settings.train.learning_rate,
        "train.embedding_l2": settings.train.embedding_l2,
        "model.pooled_dropout": settings.model.pooled_dropout,
        "model.attention_l2": settings.model.attention_l2,
    }
    assert trials[1].drawn != trials[2].drawn
    best = tmp_path / "run" / "search" / "afm.yaml"
    assert str(best) in "".join(outcome.out.split())
    best.unlink()
    assert run_job("search", config).code == 0, (
        "all trials are in the log, and the best one's settings are written again"
    )
    assert run_job("train", best).code == 0
    bundle = read_bundle(settings.run.bundle)
    assert bundle.metrics["valid"] == pytest.approx(min(trial.valid for trial in trials), rel=1e-6)


def test_a_wrong_key_of_an_entry_is_one_line(config: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(config, ["compare.fm.model={embeding_dim: 3}", "compare.fm.trian={epochs: 2}"])
    assert any("compare.fm.trian: unknown key; did you mean train?" in line for line in caught.value.problems)
    with pytest.raises(SettingsError, match=r"compare\.fm\.model\.embeding_dim: found 3"):
        load_settings(config, ["compare.fm.model={embeding_dim: 3}"])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("search.space={model.droput: {low: 0, high: 1}}", "search.space: found 'model.droput'"),
        ("search.space={model.pooled_dropout: {low: 1, high: 0}}", "low must be less than high"),
        ("search.space={train.learning_rate: {low: 0, high: 1, log: true}}", "log needs a low above 0"),
        ("search.space={train.learning_rate: {choices: [1], low: 0, high: 2}}", "give low and high, or choices"),
        ("studies={d: {model: affm, key: model.pooled_dropout, values: [0, 1]}}", "studies.d.model: found 'affm'"),
        ("studies={d: {model: afm, key: pooled_dropout, values: [0, 1]}}", "studies.d.key: found 'pooled_dropout'"),
    ],
)
def test_a_search_or_study_that_cannot_be_is_one_line(config: Path, change: str, said: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(config, [change])
    assert any(said in line for line in caught.value.problems), caught.value.problems
