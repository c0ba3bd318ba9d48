"""Several nights, nights that are empty or odd, and two runs at once."""

import errno
import itertools
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch

from afm_core.bundle import Bundle, FrozenRows, read_bundle, write_bundle
from afm_core.storage.locks import locked
from pipelines.scoring.monitoring.ledger import read_ledger
from tests.support.config import write_config
from tests.support.files import snapshot
from tests.support.jobs import RunJob
from tests.support.nights import read_manifest
from tests.support.small import Small

HEADER = "event_id,user,app,daypart,weekday,place"


@pytest.fixture
def nights(small: Small, tmp_path: Path) -> Path:
    """A usual night, an empty folder, a file without rows, and a night of users and apps that nobody has seen."""
    logs = small.settings.nightly.logs
    usual = (logs / "dt=2026-01-02" / "part-00000.csv").read_text()
    strangers = [f"e{at},nobody{at},nothing{at % 3},morning,friday,home" for at in range(50)]
    for day, text in (
        ("01", usual),
        ("02", None),
        ("03", HEADER + "\n"),
        ("04", "\n".join([HEADER, *strangers]) + "\n"),
    ):
        folder = tmp_path / "nights" / f"dt=2026-02-{day}"
        folder.mkdir(parents=True)
        if text is not None:
            (folder / "part.csv").write_text(text)
    return tmp_path / "nights"


def config_for(folder: Path, small: Small, nights: Path, **score: object) -> Path:
    return small.scoring_config(folder, nights, score={"max_unknown": 0.9, "allow_empty": True, **score})


def test_a_ledger_on_a_full_disk_keeps_no_night_from_the_next(
    small: Small, nights: Path, tmp_path: Path, run_job: RunJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(folder: Path, entry: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(folder))

    monkeypatch.setattr("pipelines.scoring.run.write_entry", full)
    outcome = run_job("score", config_for(tmp_path, small, nights), "--from", "2026-02-01", "--to", "2026-02-03")
    assert outcome.code == 2
    assert [line.split(": ")[2] for line in outcome.errors] == [
        f"no row of the ledger could be written for 2026-02-0{day}, which is published" for day in (1, 2, 3)
    ]
    assert len(list((tmp_path / "scores").glob("dt=*"))) == 3


def test_values_of_logs_do_not_reach_the_terminal_as_commands(small: Small, tmp_path: Path, run_job: RunJob) -> None:
    """Markup stays text, and characters that a terminal obeys are shown as codes."""
    values = ["[/x]", "\u202e[link=y]\x9b2J"]
    rows = [f"x{number},u1,{value},morning,friday,home" for number, value in enumerate(values * 30)]
    night = tmp_path / "nights" / "dt=2026-02-01"
    night.mkdir(parents=True)
    (night / "part.csv").write_text("\n".join([HEADER, *rows]) + "\n")
    config = config_for(tmp_path, small, tmp_path / "nights", max_unknown=1.0)
    outcome = run_job("score", config, "--date", "2026-02-01")
    assert outcome.code == 0, outcome.err
    assert all(character.isprintable() or character == "\n" for character in outcome.out + outcome.err)
    assert "app [/x] 50.0%" in outcome.out
    assert r"app \u202e[link=y]\x9b2J 50.0%" in " ".join(outcome.out.split())
    manifest = read_manifest(tmp_path / "scores", date(2026, 2, 1))
    assert manifest is not None
    assert manifest.new_values["app"] == dict.fromkeys(values, 30), "stored as they are"


def test_a_range_of_nights_is_published_but_for_the_odd_one(
    small: Small, nights: Path, tmp_path: Path, run_job: RunJob
) -> None:
    config, scores = config_for(tmp_path, small, nights), tmp_path / "scores"
    outcome = run_job("score", config, "--from", "2026-02-01", "--to", "2026-02-05")
    assert outcome.code == 2
    odd, absent = outcome.errors
    assert "night 2026-02-04: 100.0% of user missing or unseen, allowed is score.max_unknown = 90.0%" in odd
    assert "no logs for 2026-02-05; the nights there are 2026-02-01 to 2026-02-04" in absent
    assert "not published" in outcome.out
    assert [path.name for path in sorted(scores.glob("dt=*"))] == [f"dt=2026-02-0{day}" for day in (1, 2, 3)]
    assert pq.read_table(scores / "dt=2026-02-01").num_rows > 300
    assert pq.read_table(scores / "dt=2026-02-02").schema.names == ["event_id", "score", "model"]
    assert pq.read_table(scores / "dt=2026-02-03").num_rows == 0
    rows = read_ledger(scores)
    outcomes = {row.night.day: row.outcome for row in rows}
    assert outcomes == {1: "published", 2: "empty", 3: "empty", 4: "refused", 5: "failed"}
    assert all(
        row.figures.scored + row.figures.rejected == row.figures.rows_in for row in rows if row.outcome == "published"
    )

    before = snapshot(scores / "dt=2026-02-01")
    allowed = run_job("score", config, "--missing", "14", "--set", "score.max_unknown=1")
    assert allowed.code == 0, allowed.err
    assert pq.read_table(scores / "dt=2026-02-04").num_rows == 50
    manifest = read_manifest(scores, date(2026, 2, 4))
    assert manifest
    assert manifest.new_values["app"] == {"nothing0": 17, "nothing1": 17, "nothing2": 16}
    assert len(manifest.new_values["user"]) == 5
    assert "app nothing0 34.0%" in " ".join(allowed.out.split())
    assert snapshot(scores / "dt=2026-02-01") == before, "only what is missing is scored"
    assert read_ledger(scores)[-1].night == date(2026, 2, 4)
    nothing = run_job("score", config, "--missing", "14")
    assert nothing.code == 3
    assert "nothing to do" in nothing.err


def test_a_backfill_leaves_alone_what_would_be_the_same(
    small: Small, nights: Path, tmp_path: Path, run_job: RunJob
) -> None:
    config, scores = config_for(tmp_path, small, nights), tmp_path / "scores"
    both = ("--from", "2026-02-01", "--to", "2026-02-02")
    assert run_job("score", config, *both).code == 0
    before = {night.name: snapshot(night) for night in scores.glob("dt=*")}
    outcome = run_job("score", config, *both, "--set", "score.drift.warn=0.2")
    assert outcome.code == 3
    assert outcome.out.count("up to date") == 2
    assert {night.name: snapshot(night) for night in scores.glob("dt=*")} == before

    file = nights / "dt=2026-02-01" / "part.csv"
    first = file.read_text().splitlines()[1]
    file.write_text(f"{file.read_text()}\nanother,{first.partition(',')[2]}\n")
    outcome = run_job("score", config, *both)
    assert outcome.code == 0
    assert (outcome.out.count("logs changed"), outcome.out.count("up to date")) == (1, 1)
    assert "another" in pq.read_table(scores / "dt=2026-02-01")["event_id"].to_pylist()
    outcome = run_job("score", config, *both, "--set", "score.max_unknown=0.95")
    assert outcome.out.count("settings changed") == 2


def test_a_mean_score_out_of_bounds_leaves_what_was_published(
    small: Small, nights: Path, tmp_path: Path, run_job: RunJob
) -> None:
    config, scores = config_for(tmp_path, small, nights), tmp_path / "scores"
    assert run_job("score", config, "--date", "2026-02-01").code == 0
    before = snapshot(scores / "dt=2026-02-01")
    outcome = run_job("score", config, "--date", "2026-02-01", "--set", "score.mean_score_range=[0.9, 1.0]")
    assert outcome.code == 2
    assert "allowed is score.mean_score_range = +0.9 to +1" in outcome.errors[0]
    assert snapshot(scores / "dt=2026-02-01") == before


def test_scores_that_are_not_numbers_are_not_published(
    small: Small, nights: Path, tmp_path: Path, run_job: RunJob
) -> None:
    """A model that is broken for unknown users only, whom its frozen rows do not show."""
    bundle = read_bundle(small.settings.run.bundle)
    unknown = bundle.feature_map["user"].unknown_id
    with torch.no_grad():
        bundle.model.factors.linear.weight[unknown] = float("nan")
    write_copy(bundle, tmp_path / "run" / "bundle", user=bundle.feature_map["user"].ranges[0].first)
    outcome = run_job("score", write_config(tmp_path, nights), "--date", "2026-02-04")
    assert outcome.code == 2
    assert "50 of 50 scores are not numbers" in outcome.errors[0]
    assert not list((tmp_path / "scores").glob("dt=*"))


def test_a_bundle_that_scores_otherwise_than_when_it_was_trained_is_refused(
    small: Small, nights: Path, tmp_path: Path, run_job: RunJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = read_bundle(small.settings.run.bundle)
    write_copy(bundle, tmp_path / "run" / "bundle", user=3)
    monkeypatch.setattr("afm_core.models.factors.LinearPart.first_order", lambda self, batch: self.bias + 0.25)
    outcome = run_job("score", write_config(tmp_path, nights), "--date", "2026-02-01")
    assert outcome.code == 2
    assert "scores of its frozen rows differ by up to" in outcome.errors[0]
    assert "allowed is 1e-06 (float32)" in outcome.errors[0]


def write_copy(bundle: Bundle, path: Path, user: int) -> None:
    ids = np.full((3, len(bundle.feature_map.names)), 2, dtype=np.int32)
    ids[:, 0] = user
    frozen = FrozenRows(ids, np.empty((3, 0), dtype=np.float32))
    path.parent.mkdir()
    write_bundle(path, bundle.calibrated_model, bundle.settings, bundle.path, frozen, bundle.metrics, "card")


def test_a_second_run_ends_in_one_line_and_may_be_tried_again(
    small: Small, nights: Path, tmp_path: Path, run_job: RunJob
) -> None:
    config = config_for(tmp_path, small, nights)
    with locked(tmp_path / "scores"):
        outcome = run_job("score", config, "--date", "2026-02-02")
    assert outcome.code == 75
    assert len(outcome.errors) == 1
    assert "held by process" in outcome.errors[0]


def test_nights_that_cannot_be_meant_are_one_line(small: Small, nights: Path, tmp_path: Path, run_job: RunJob) -> None:
    config = config_for(tmp_path, small, nights)
    assert "give both" in run_job("score", config, "--from", "2026-02-01").errors[0]
    backwards = run_job("score", config, "--from", "2026-02-02", "--to", "2026-02-01")
    assert "the last night is before the first" in backwards.errors[0]
    only_last = run_job("score", config, "--date", "2026-02-01", "--to", "2026-02-02")
    assert "give both" in only_last.errors[0]
    for option, text in (("--date", "yesterday"), ("--missing", "0"), ("--missing", "many")):
        impossible = run_job("score", config, option, text)
        assert impossible.code == 2
        assert f"argument {option}: found {text!r}, allowed are" in impossible.err


def test_every_row_says_why(small: Small, nights: Path, tmp_path: Path, run_job: RunJob) -> None:
    config = config_for(tmp_path, small, nights)
    assert run_job("score", config, "--date", "2026-02-01", "--explain", "100").code == 0
    scored = pq.read_table(tmp_path / "scores" / "dt=2026-02-01").to_pylist()
    logs = pd.read_csv(nights / "dt=2026-02-01" / "part.csv", dtype=str).set_index("event_id")
    fields = ["user", "app", "daypart", "weekday", "place"]
    assert len(scored) > 300
    for row in scored:
        actual = row["interactions"]
        assert len(actual) == 10
        assert sum(one["weight"] for one in actual) == pytest.approx(1.0, abs=1e-5)
        total = row["first_order"] + sum(one["contribution"] for one in actual)
        assert min(1.0, max(-1.0, total)) == pytest.approx(row["score"], abs=1e-5)
        assert {(one["left_field"], one["right_field"]) for one in actual} == set(itertools.combinations(fields, 2))
        for one in actual:
            assert one["left_value"] in (logs.loc[row["event_id"], one["left_field"]], None)


def test_a_model_that_cannot_say_why_is_refused_by_name(
    small: Small, nights: Path, tmp_path: Path, run_job: RunJob
) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / "bundle").symlink_to(small.settings.run.warm_start_bundle)
    outcome = run_job("score", write_config(tmp_path, nights), "--date", "2026-02-01", "--explain", "3")
    assert outcome.code == 2
    assert "holds a fm; --explain needs an afm" in outcome.errors[0]
