"""Every kind of field in a prepared dataset, compared with a computation that shares no code with ours."""

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from tests.support.field_kinds import FIELDS, Prepared


def test_every_field_has_its_columns_in_order(kinds: Prepared) -> None:
    ids = [*[f["name"] if isinstance(f, dict) else f for f in FIELDS]]
    genres = ids.index("genres")
    ids[genres : genres + 1] = ["genres_1", "genres_2", "genres_3"]
    xs = ["price_x", "price_log_x", "age_x", "genres_x", "n_item_x", "goes_with_x"]
    assert [*kinds.rows.columns] == ["row_key", *ids, *xs, "label", "split"]
    table = pq.read_table(kinds.folder / "dataset" / "features.parquet").to_pandas()
    assert table["id"].tolist() == list(range(kinds.feature_map.n_ids))
    assert table["count"].dropna().ge(0).all()


def test_numbers_are_scaled_as_declared(kinds: Prepared) -> None:
    price, rows = kinds.logs["price"].dropna(), kinds.rows
    assert kinds.unknown("price").mean() == pytest.approx(kinds.logs["price"].isna().mean())
    assert (rows.loc[kinds.unknown("price"), "price_x"] == 1).all()
    scaled = rows.loc[~kinds.unknown("price") & (rows["label"] > 0), "price_x"].sort_values().to_numpy()
    expected = ((price - price.mean()) / price.std(ddof=0)).sort_values().to_numpy()
    np.testing.assert_allclose(scaled, expected, rtol=1e-6)
    assert not kinds.unknown("price_log").any()
    filled = kinds.logs["price"].fillna(price.mean())
    scaled = rows.loc[rows["label"] > 0, "price_log_x"].sort_values().to_numpy()
    np.testing.assert_allclose(scaled, np.log1p(filled).sort_values(), rtol=1e-6)


def test_quantile_buckets_hold_equal_shares(kinds: Prepared) -> None:
    price = np.sort(kinds.logs["price"].dropna())
    edges = [price[len(price) * quarter // 4] for quarter in (1, 2, 3)]
    assert kinds.feature_map["price_bucket"].scaling.edges == pytest.approx(edges)
    positives = kinds.rows[kinds.rows["label"] > 0]
    ids = kinds.feature_map["price_bucket"]
    counts = positives["price_bucket"].value_counts()
    expected = np.bincount(np.searchsorted(edges, price, side="right"), minlength=4)
    assert [counts[ids.ranges[0].first + bucket] for bucket in range(4)] == expected.tolist()
    assert counts[ids.unknown_id] == kinds.logs["price"].isna().sum()


def test_tags_are_distinct_frequent_first_and_share_x(kinds: Prepared) -> None:
    logs, rows = kinds.logs, kinds.rows
    lists = [sorted({tag for tag in text.lower().split("|") if tag}) for text in logs["genres"]]
    counts = pd.Series([tag for tags in lists for tag in tags]).value_counts()
    rank = {
        tag: position
        for position, tag in enumerate(sorted(counts[counts >= 2].index, key=lambda tag: (-counts[tag], tag)))
    }
    expected = []
    for tags in lists:
        kept = sorted((tag for tag in tags if tag in rank), key=rank.__getitem__)[:3]
        expected.append((*kept, *[None] * (3 - len(kept))) if kept else ("unknown", None, None))
    positives = rows["label"] > 0
    named = pd.DataFrame({slot: kinds.values(f"genres_{slot}") for slot in (1, 2, 3)}).astype(object)
    named = named.where(named.notna(), None)
    named.loc[rows["genres_1"] == kinds.feature_map["genres"].unknown_id, 1] = "unknown"
    decoded = list(named[positives].itertuples(index=False, name=None))
    assert sorted(map(repr, decoded)) == sorted(map(repr, expected))
    width = (rows[["genres_1", "genres_2", "genres_3"]] != 0).sum(axis=1)
    np.testing.assert_allclose(rows["genres_x"], 1 / width, rtol=1e-6)
    profile = pq.read_table(kinds.folder / "dataset" / "profile.parquet").to_pandas().set_index("field")
    assert profile.loc["genres", "truncated"] == sum(len(tags) > 3 for tags in lists) > 0


def test_times_are_read_on_the_clock_of_the_timezone(kinds: Prepared) -> None:
    berlin = kinds.logs["ts"].dt.tz_localize("UTC").dt.tz_convert("Europe/Berlin")  # summer time began in between
    positives = kinds.rows["label"] > 0
    assert sorted(kinds.values("hour")[positives]) == sorted(berlin.dt.hour.astype(str))
    assert sorted(kinds.values("weekday")[positives]) == sorted((kinds.logs["ts"].dt.weekday + 1).astype(str))
    weekend = (kinds.logs["ts"].dt.weekday >= 5).map({True: "true", False: "false"})
    assert sorted(kinds.values("weekend")[positives]) == sorted(weekend)


def test_hashes_are_functions_of_their_values(kinds: Prepared) -> None:
    rows = kinds.rows
    ids = kinds.feature_map["user_hour"]
    assert rows["user_hour"].between(ids.ranges[0].first, ids.ranges[0].first + 31).all()
    assert (rows.groupby(["user", "hour"])["user_hour"].nunique() == 1).all()
    assert rows["user_hour"].nunique() > 20
    counts = pq.read_table(kinds.folder / "dataset" / "features.parquet").to_pandas()
    counts = counts[(counts["field"] == "ip") & counts["value"].notna()]
    assert len(counts) == 16
    assert counts["count"].sum() == len(kinds.logs)


def test_counts_leave_the_row_itself_out(kinds: Prepared) -> None:
    rows = kinds.rows
    counted = rows[(rows["label"] > 0) & (rows["split"] == "train")]
    own = ((rows["label"] > 0) & (rows["split"] == "train")).astype(int)
    n_item = rows["item"].map(counted["item"].value_counts()).fillna(0) - own
    unknown = kinds.unknown("item")
    assert 0 < unknown.mean() < 0.5
    np.testing.assert_allclose(rows["n_item_x"], np.where(unknown, 1, np.log1p(n_item)), rtol=1e-6)
    assert (kinds.unknown("n_item") == unknown).all()
    pairs = counted.groupby(["user", "category"]).size()
    n_pair = rows.set_index(["user", "category"]).index.map(pairs).fillna(0).to_numpy() - own
    first = kinds.feature_map["n_user_category"].ranges[0].first
    assert (rows["n_user_category"] - first).tolist() == np.floor(2 * np.log2(1 + n_pair)).astype(int).tolist()
    assert n_pair.max() > 3


def expected_co_occurrence(rows: pd.DataFrame, user: str, item: str, unknown: "pd.Series[int]") -> list[list[float]]:
    """For each row, 1000 n_ij / (n_j + 5) of every other item j of its user, by sets of users and nothing else."""
    counted = rows[(rows["label"] > 0) & (rows["split"] == "train") & ~unknown]
    times = counted.groupby([user, item]).size()
    users_of = {value: set(group) for value, group in counted.groupby(item)[user]}
    shares = []
    for index, row in rows.iterrows():
        this_user, this_item = row[user], row[item]
        is_own = index in counted.index and times[this_user, this_item] == 1
        of_this = users_of.get(this_item, set()) - ({this_user} if is_own else set())
        others = [value for value, users in users_of.items() if this_user in users and value != this_item]
        shares.append([1000 * len(of_this & users_of[j]) / (len(users_of[j]) + 5) for j in others])
    return shares


def test_co_occurrence_is_the_share_of_the_users_of_other_items(kinds: Prepared) -> None:
    rows = kinds.rows
    shares = expected_co_occurrence(rows, "user", "category", kinds.unknown("category"))
    np.testing.assert_allclose(rows["goes_with_x"], np.log1p([sum(of_row) for of_row in shares]), rtol=1e-6)
    unknown = kinds.unknown("item")
    shares = expected_co_occurrence(rows, "user", "item", unknown)
    greatest = np.array([max(of_row, default=0.0) for of_row in shares])
    ids = kinds.feature_map["best_goes_with"]
    bucket = ids.ranges[0].first + np.floor(2 * np.log2(1 + greatest)).astype(int)
    assert rows["best_goes_with"].tolist() == np.where(unknown, ids.unknown_id, bucket).tolist()
    assert rows["best_goes_with"].nunique() > 5


def test_fields_that_belong_together_are_replaced_together(kinds: Prepared) -> None:
    values = pd.DataFrame({name: kinds.values(name) for name in ("user", "item", "category")})
    values["label"] = kinds.rows["label"]
    pairs = set(zip(kinds.logs["item"], kinds.logs["category"], strict=True))
    negatives = values[values["label"] < 0]
    assert len(negatives) == 2 * len(kinds.logs)
    assert set(zip(negatives["item"], negatives["category"], strict=True)) <= pairs
    seen = set(zip(kinds.logs["user"], kinds.logs["item"], strict=True))
    assert not seen & set(zip(negatives["user"], negatives["item"], strict=True))
