"""The best items for every user of a night: against the model on every pair, and through the runner of nights."""

from datetime import date
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch

from afm_core.bundle import read_bundle
from afm_core.models import EncodedBatch
from afm_core.storage.locks import locked
from pipelines.scoring.monitoring.ledger import read_ledger
from tests.support.config import NIGHT
from tests.support.files import snapshot
from tests.support.jobs import RunJob
from tests.support.small import Small


@pytest.fixture
def config(small: Small, tmp_path: Path) -> Path:
    return small.scoring_config(tmp_path)


def read_night(folder: Path) -> pd.DataFrame:
    return pq.read_table(folder / "scores_best_items" / f"dt={NIGHT}").to_pandas()


def test_every_user_gets_the_items_that_the_model_scores_highest(
    small: Small, config: Path, tmp_path: Path, run_job: RunJob
) -> None:
    outcome = run_job("recommend", config, "--date", NIGHT, "--k", "3")
    assert outcome.code == 0, outcome.err
    best = read_night(tmp_path)
    assert not (tmp_path / "scores").exists()
    logs = pd.read_csv(small.settings.nightly.logs / f"dt={NIGHT}" / "part-00000.csv", dtype=str, on_bad_lines="skip")
    bundle = read_bundle(small.settings.run.bundle)
    features = pq.read_table(bundle.features_path).to_pandas()
    id_of = {(row.field, row.value): row.id for row in features.itertuples() if row.value is not None}
    items = features[(features.field == "app") & features.value.notna()]
    accepted = logs.dropna(subset=["user", "app"])
    assert set(best.user) == set(accepted.user)
    names = sorted(column for column in logs.columns)
    for user in sorted(set(accepted.user))[:12]:
        context = max(tuple(row) for row in accepted[accepted.user == user][names].fillna("").itertuples(index=False))
        row = dict(zip(names, context, strict=True))
        ids = [id_of.get((name, row[name]), bundle.feature_map[name].unknown_id) for name in bundle.feature_map.names]
        rows = torch.tensor([ids]).repeat(len(items), 1)
        rows[:, bundle.feature_map.names.index("app")] = torch.tensor(items.id.to_numpy().copy()).long()
        with torch.inference_mode():
            outputs = bundle.model(EncodedBatch.of_ids(rows))
        order = outputs.argsort(descending=True, stable=True)[:3].tolist()
        mine = best[best.user == user].sort_values("rank")
        assert mine["rank"].tolist() == [1, 2, 3]
        assert mine.app.tolist() == items.value.iloc[order].tolist()
        assert mine.score.to_numpy() == pytest.approx(outputs[order].clamp(-1, 1).numpy(), abs=1e-6)
    (row,) = read_ledger(tmp_path / "scores_best_items")
    assert (row.night, row.outcome, row.model) == (date.fromisoformat(NIGHT), "published", bundle.fingerprint)
    assert row.figures.scored == len(best)
    assert row.figures.rows_in == len(accepted) + row.figures.rejected


def test_a_list_of_items_is_kept_to_and_popular_ones_are_the_most_frequent(
    small: Small, config: Path, tmp_path: Path, run_job: RunJob
) -> None:
    features = pq.read_table(small.settings.dataset.path / "features.parquet").to_pandas()
    apps = features[(features.field == "app") & features.value.notna()].sort_values(
        ["count", "id"], ascending=[False, True]
    )
    popular = run_job("recommend", config, "--date", NIGHT, "--k", "9", "--set", "recommend.popular_items=4")
    assert popular.code == 0, popular.err
    assert set(read_night(tmp_path).app) == set(apps.value[:4])
    (tmp_path / "items.txt").write_text("\n".join([*apps.value[5:7], "never seen"]) + "\n")
    listed = run_job("recommend", config, "--date", NIGHT, "--k", "9", "--set", f"recommend.items={tmp_path}/items.txt")
    assert listed.code == 0, listed.err
    best = read_night(tmp_path)
    assert set(best.app) == set(apps.value[5:7])
    assert best.groupby("user").size().eq(2).all()


def test_impossible_requests_are_one_line(small: Small, config: Path, tmp_path: Path, run_job: RunJob) -> None:
    (tmp_path / "items.txt").write_text("never seen\n")
    unknown = run_job(
        "recommend", config, "--date", NIGHT, "--k", "2", "--set", f"recommend.items={tmp_path}/items.txt"
    )
    assert unknown.code == 2
    assert "the model knows none of its 1 values of app" in unknown.errors[0]
    counted = "[user, app, daypart, weekday, {name: n_app, kind: frequency, of: [app]}]"
    dependent = run_job("recommend", config, "--date", NIGHT, "--k", "2", "--set", f"fields={counted}")
    assert dependent.code == 2
    assert "n_app are computed from app; leave them out" in dependent.errors[0]
    for k in ("0", "-2", "many"):
        assert run_job("recommend", config, "--date", NIGHT, "--k", k).code == 2


def test_a_bundle_that_scores_otherwise_than_when_it_was_trained_is_refused(
    config: Path, tmp_path: Path, run_job: RunJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("afm_core.models.factors.LinearPart.first_order", lambda self, batch: self.bias + 0.25)
    outcome = run_job("recommend", config, "--date", NIGHT, "--k", "2")
    assert outcome.code == 2
    assert "scores of its frozen rows differ by up to" in outcome.errors[0]
    assert not list((tmp_path / "scores_best_items").glob("dt=*"))


def test_a_bad_night_does_not_keep_the_next_from_it_and_both_have_a_row(
    small: Small, tmp_path: Path, run_job: RunJob
) -> None:
    nights = tmp_path / "nights"
    for day in ("01", "02", "03"):
        (nights / f"dt=2026-02-{day}").mkdir(parents=True)
    usual = small.settings.nightly.logs / "dt=2026-01-02" / "part-00000.csv"
    (nights / "dt=2026-02-01" / "part.csv").write_text("nonsense\nwithout,any,column\n")
    (nights / "dt=2026-02-03" / "part.csv").write_text(usual.read_text())
    config = small.scoring_config(tmp_path, nights, score={"allow_empty": True})
    outcome = run_job("recommend", config, "--from", "2026-02-01", "--to", "2026-02-03", "--k", "2")
    assert outcome.code == 2
    assert len(outcome.errors) == 1
    assert "column" in outcome.errors[0]
    output = tmp_path / "scores_best_items"
    rows = {row.night.day: row.outcome for row in read_ledger(output)}
    assert rows == {1: "failed", 2: "empty", 3: "published"}
    assert pq.read_table(output / "dt=2026-02-02").schema.names == ["user", "rank", "app", "score", "model"]
    assert pq.read_table(output / "dt=2026-02-03").num_rows > 50

    before = snapshot(output / "dt=2026-02-03")
    again = run_job("recommend", config, "--from", "2026-02-02", "--to", "2026-02-03", "--k", "2")
    assert again.code == 3
    assert snapshot(output / "dt=2026-02-03") == before
    fewer = run_job("recommend", config, "--from", "2026-02-02", "--to", "2026-02-03", "--k", "1")
    assert fewer.code == 0
    assert fewer.out.count("settings changed") == 2
    repeated = run_job("recommend", config, "--date", "2026-02-03", "--k", "1")
    assert repeated.code == 0
    assert "processed again" in repeated.out
    missing = run_job("recommend", config, "--missing", "14", "--k", "2")
    assert missing.code == 2, "only the bad night is missing"
    assert len(missing.errors) == 1


def test_a_second_run_ends_in_one_line_and_may_be_retried(config: Path, tmp_path: Path, run_job: RunJob) -> None:
    with locked(tmp_path / "scores_best_items"):
        outcome = run_job("recommend", config, "--date", NIGHT, "--k", "2")
    assert (outcome.code, len(outcome.errors)) == (75, 1)
    assert "held by process" in outcome.errors[0]
