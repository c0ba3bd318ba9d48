"""The best items for every user of a night, against running the model on every pair."""

from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch

from afm_core.bundle import read_bundle
from afm_core.models import EncodedBatch
from tests.conftest import NIGHT, RunJob, Small, write_config


@pytest.fixture
def config(small: Small, tmp_path: Path) -> Path:
    return write_config(tmp_path, small.settings.nightly.logs, run={"path": str(small.settings.run.path)})


def read_night(folder: Path) -> pd.DataFrame:
    return pq.read_table(folder / "scores_best_items" / f"dt={NIGHT}").to_pandas()


def test_every_user_gets_the_items_that_the_model_scores_highest(
    small: Small, config: Path, tmp_path: Path, run_job: RunJob
) -> None:
    found = run_job("score", config, "--date", NIGHT, "--candidates", "3")
    assert found.code == 0, found.err
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


def test_a_list_of_items_is_kept_to_and_popular_ones_are_the_most_frequent(
    small: Small, config: Path, tmp_path: Path, run_job: RunJob
) -> None:
    features = pq.read_table(small.settings.dataset.path / "features.parquet").to_pandas()
    apps = features[(features.field == "app") & features.value.notna()].sort_values(
        ["count", "id"], ascending=[False, True]
    )
    popular = run_job("score", config, "--date", NIGHT, "--candidates", "9", "--set", "recommend.popular_items=4")
    assert popular.code == 0, popular.err
    assert set(read_night(tmp_path).app) == set(apps.value[:4])
    (tmp_path / "items.txt").write_text("\n".join([*apps.value[5:7], "never seen"]) + "\n")
    listed = run_job(
        "score", config, "--date", NIGHT, "--candidates", "9", "--set", f"recommend.items={tmp_path}/items.txt"
    )
    assert listed.code == 0, listed.err
    best = read_night(tmp_path)
    assert set(best.app) == set(apps.value[5:7])
    assert best.groupby("user").size().eq(2).all()


def test_what_cannot_be_meant_is_one_line(small: Small, config: Path, tmp_path: Path, run_job: RunJob) -> None:
    (tmp_path / "items.txt").write_text("never seen\n")
    unknown = run_job(
        "score", config, "--date", NIGHT, "--candidates", "2", "--set", f"recommend.items={tmp_path}/items.txt"
    )
    assert unknown.code == 2
    assert "the model knows none of its 1 values of app" in unknown.errors[0]
    counted = "[user, app, daypart, weekday, {name: n_app, kind: frequency, of: [app]}]"
    dependent = run_job("score", config, "--date", NIGHT, "--candidates", "2", "--set", f"fields={counted}")
    assert dependent.code == 2
    assert "n_app are computed from app; leave them out" in dependent.errors[0]
