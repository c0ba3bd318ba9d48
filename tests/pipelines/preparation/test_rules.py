"""Labels, weights, negatives, splits, thresholds and reruns, on small tables whose answers are known."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

import pipelines.encoding.large_vocabularies
import pipelines.encoding.vocabulary
import pipelines.preparation.row_keys
from afm_core.errors import DatasetError, LogsError
from afm_core.features import keeps_ids
from tests.support.files import snapshot
from tests.support.jobs import RunJob
from tests.support.preparing import Prepare, config_for, logs, pairs


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ({"column": "rating", "at_least": 4}, lambda rating: np.where(rating >= 4, 1.0, -1.0)),
        ({"column": "rating", "range": [1, 5]}, lambda rating: (rating - 3) / 2),
        ({"column": "rating", "positive": ["4", "5"]}, lambda rating: np.where(rating >= 4, 1.0, -1.0)),
        ({"column": "liked"}, lambda rating: np.where(rating >= 3, 1.0, -1.0)),
    ],
)
def test_labels_come_from_a_column(prepared: Prepare, label: dict[str, Any], expected: Callable) -> None:
    table = logs(200)
    table["liked"] = np.where(table["rating"] >= 3, "1", "0")
    table["w"] = table["rating"] / 4
    manifest, frame = prepared(table, label={**label, "weight": "w"})
    assert manifest.negatives_asked == manifest.negatives_found == 0
    assert manifest.weighted
    actual = sorted(zip(pairs(frame, "user", "item", "hour"), frame["label"].round(6), frame["weight"], strict=True))
    values = zip(pairs(table, "user", "item", "hour"), expected(table["rating"]), table["w"], strict=True)
    assert actual == sorted((key, round(float(value), 6), weight) for key, value, weight in values)


def test_negatives_are_drawn_for_the_positive_logs_only(prepared: Prepare) -> None:
    table = logs(150)
    manifest, frame = prepared(
        table, label={"column": "rating", "at_least": 4}, negatives={"per_positive": 1}, split={"by": "positive"}
    )
    positives = int((table["rating"] >= 4).sum())
    assert (manifest.positives, manifest.negatives_asked) == (positives, positives)
    assert manifest.instances == len(table) + manifest.negatives_found == len(frame)
    logged = set(pairs(table, "user", "item"))
    assert (~pd.Series(pairs(frame, "user", "item")).isin(logged)).sum() == manifest.negatives_found > 0


def test_what_was_seen_may_be_the_whole_context_or_nothing(prepared: Prepare) -> None:
    table = logs(150, users=4, items=12)
    _, frame = prepared(table, negatives={"never_seen_by": "context"})
    drawn = frame[frame["label"] < 0]
    assert not set(pairs(drawn, "user", "hour", "item")) & set(pairs(table, "user", "hour", "item"))
    assert set(pairs(drawn, "user", "item")) & set(pairs(table, "user", "item"))
    manifest, frame = prepared(table, negatives={"never_seen_by": "nothing"})
    drawn = frame[frame["label"] < 0]
    assert manifest.negatives_found == manifest.negatives_asked
    assert set(pairs(drawn, "user", "hour", "item")) & set(pairs(table, "user", "hour", "item"))


def chi_square(counts: pd.Series, shares: pd.Series) -> float:
    expected = counts.sum() * shares / shares.sum()
    return float(((counts - expected) ** 2 / expected).sum())


def test_popular_negatives_follow_count_to_the_power_of_alpha_and_uniform_ones_do_not(prepared: Prepare) -> None:
    table = logs(3000, users=3000, items=15)
    table["user"] = [f"u{at}" for at in range(3000)]  # every user saw one item, so almost all are open to each
    counts = table["item"].value_counts()
    for draw, alpha in (("uniform", 0.0), ("popular", 0.75)):
        _, frame = prepared(table, negatives={"per_positive": 1, "draw": draw, "popularity_exponent": 0.75})
        drawn = frame.loc[frame["label"] < 0, "item"].value_counts().reindex(counts.index, fill_value=0)
        power = counts.astype(float) ** alpha
        # A user's negative is any item but its own: sum over users of the share among the others.
        shares = sum(n * (power * (power.index != own)) / (power.sum() - power[own]) for own, n in counts.items())
        limit = 36.1  # 0.1 % of samples exceed it with 14 degrees of freedom
        assert chi_square(drawn, shares) < limit
        assert chi_square(drawn, counts.astype(float) ** (0.75 - alpha)) > limit


def test_hard_negatives_come_from_the_same_context(prepared: Prepare) -> None:
    table = logs(400, users=400)
    table["user"] = [f"u{at}" for at in range(400)]
    table["item"] = [f"{hour}-{item}" for hour, item in zip(table["hour"], table["item"], strict=True)]
    _, frame = prepared(table, negatives={"draw": "hard", "within": "hour", "per_positive": 1})
    drawn = frame[frame["label"] < 0]
    assert len(drawn) == 400
    assert (drawn["item"].str.split("-").str[0] == drawn["hour"]).all()


def test_a_field_over_its_threshold_stops_the_job(prepared: Prepare) -> None:
    table = logs(100)
    table.loc[:19, "hour"] = None
    fields = ["user", {"name": "item", "max_unknown": 0.05, "min_count": 5}, {"name": "hour", "max_missing": 0.1}]
    with pytest.raises(LogsError) as caught:
        prepared(table, fields=fields)
    lines = str(caught.value).splitlines()
    assert len(lines) == 2
    assert "field item: unknown in" in lines[0]
    assert "field hour: missing in 20 of 100 events (20.00%), allowed is max_missing = 10.00%" in lines[1]


def test_a_map_that_grows_keeps_its_ids(prepared: Prepare, tmp_path: Path) -> None:
    old_logs, new_logs = logs(200, items=8), logs(200, items=30, seed=9)
    fields = [{"name": "user", "min_count": 2}, "item", {"name": "hour", "kind": "hashed", "buckets": 5}]
    prepared(old_logs, fields=fields)
    kept = tmp_path / "old.parquet"
    kept.write_bytes((tmp_path / "dataset" / "features.parquet").read_bytes())
    manifest, frame = prepared(new_logs, kept, fields=fields)
    grown = tmp_path / "dataset" / "features.parquet"
    assert keeps_ids(grown, kept)
    assert not keeps_ids(kept, grown), "an older map does not know the new ids"
    old, new = (pq.read_table(path).to_pandas() for path in (kept, grown))
    assert new["id"].tolist() == list(range(len(new)))
    names = ["id", "field", "value"]
    assert new.loc[: len(old) - 1, names].equals(old[names])
    added = new.loc[len(old) :]
    assert manifest.features_added == len(added) == len(set(new_logs["item"]) - set(old_logs["item"])) > 0
    assert set(added["field"]) == {"item"}
    counts = new_logs["item"].value_counts()
    items = new[(new["field"] == "item") & new["value"].notna()]
    assert items["count"].tolist() == [counts.get(value, 0) for value in items["value"]]
    positives = frame[frame["label"] > 0]
    assert sorted(positives["item"]) == sorted(new_logs["item"])
    with pytest.raises(DatasetError, match="cannot be extended: it has the fields user"):
        prepared(new_logs, kept, fields=["user", "item"])
    prepared(new_logs, fields=fields)
    assert not keeps_ids(grown, kept), "a map of its own gives other ids"


def test_a_busy_group_is_spread_over_tasks_and_still_sees_everything(
    prepared: Prepare, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = logs(400, users=4, items=40)
    plain, _ = prepared(table)
    monkeypatch.setattr(pipelines.preparation.row_keys, "HEAVY", 30)
    spread, frame = prepared(table)
    assert (spread.digest, spread.splits) == (plain.digest, plain.splits)
    assert not set(pairs(frame[frame["label"] < 0], "user", "item")) & set(pairs(table, "user", "item"))


def test_a_large_vocabulary_is_joined_with_the_same_result(prepared: Prepare, monkeypatch: pytest.MonkeyPatch) -> None:
    table = logs(300, items=40)
    table.loc[::7, "hour"] = None
    plain, _ = prepared(table)
    monkeypatch.setattr(pipelines.encoding.vocabulary, "HELD_VALUES", 3)
    broadcast, _ = prepared(table)
    monkeypatch.setattr(pipelines.encoding.large_vocabularies, "BROADCAST_VALUES", 3)
    joined, _ = prepared(table)
    assert plain.digest == broadcast.digest == joined.digest


def test_a_rerun_is_up_to_date_until_something_changes(tmp_path: Path, run_job: RunJob) -> None:
    config = config_for(tmp_path, logs(60))
    assert run_job("prepare", config).code == 0
    before = snapshot(tmp_path / "dataset")
    again = run_job("prepare", config)
    assert (again.code, "up to date" in again.out) == (0, True)
    assert snapshot(tmp_path / "dataset") == before
    other = run_job("prepare", config, "--set", "seed=2")
    assert "digest" in other.out
    (tmp_path / "logs.csv").write_text((tmp_path / "logs.csv").read_text() + "u1,i1,0,1767225600,1\n")
    assert json.loads((tmp_path / "dataset" / "manifest.json").read_text())["rows_in"] == 60
    assert "rows in                 61" in run_job("prepare", config, "--set", "seed=2").out


def test_explain_says_how_each_field_is_encoded_and_writes_nothing(tmp_path: Path, run_job: RunJob) -> None:
    fields = ["user", "item", {"name": "hour", "kind": "hashed", "buckets": 4}]
    explained = run_job("prepare", config_for(tmp_path, logs(60), fields=fields), "--explain")
    assert explained.code == 0
    assert "look-up in Python workers" in explained.out
    assert "hashed: ids are determined by the declaration" in explained.out
    assert not (tmp_path / "dataset").exists()


def test_the_last_log_is_found_by_fractions_of_a_second(prepared: Prepare) -> None:
    last = pd.DataFrame({"user": [f"u{at}" for at in range(20)], "item": "last", "ts": "1593878903.8"})
    others = [pd.DataFrame({"user": last["user"], "item": f"i{at}", "ts": f"1593878903.{at}"}) for at in range(4)]
    table = pd.concat([last, *others]).assign(hour="0")
    _, frame = prepared(table, split={"by": "leave_one_out", "of": "user", "time": "ts"}, negatives={"per_positive": 0})
    assert set(frame[frame["split"] == "test"]["item"]) == {"last"}
    assert set(frame[frame["split"] == "valid"]["item"]) == {"i3"}
