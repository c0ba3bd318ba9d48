"""What must hold of a preparation whatever the logs: random tables, cut into files at random, read in any order."""

from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pyspark.sql import SparkSession

from afm_core.features import FeatureMap
from afm_core.settings import load_settings
from pipelines.preparation.prepare import prepare
from tests.support.config import write_config
from tests.support.decoding import decoded

COLUMNS = ["user", "app", "daypart", "price", "genres"]
FIELDS = [
    {"name": "user", "min_count": 2},
    "app",
    {"name": "daypart", "max_size": 2},
    {"name": "price", "kind": "numeric"},
    {"name": "genres", "kind": "tags", "length": 2},
]
VALUES = {
    "user": st.sampled_from(["u1", "u2", "u3", "Ü", ""]),
    "app": st.sampled_from([f"a{at}" for at in range(7)]),
    "daypart": st.sampled_from(["am", "pm", "night", "", "x y"]),
    "price": st.sampled_from(["1", "2.5", "-3e2", "", "cheap", "nan"]),
    "genres": st.sampled_from(["a|b", "b", "", "c|c|a|b", "|"]),
}
ROWS = st.lists(st.tuples(*[VALUES[name] for name in COLUMNS]), min_size=40, max_size=120)


def write_files(rows: list[tuple[str, ...]], cuts: list[int], folder: Path) -> None:
    folder.mkdir()
    ends = [0, *sorted(cut % (len(rows) + 1) for cut in cuts), len(rows)]
    for number, (start, end) in enumerate(pairwise(ends)):
        pd.DataFrame(rows[start:end], columns=COLUMNS).to_csv(folder / f"{number}.csv", index=False)


def check(config: Path, rows: list[tuple[str, ...]], manifest: Any, dataset: Path) -> None:
    frame, table = decoded(dataset), pq.read_table(dataset / "features.parquet").to_pandas()
    feature_map = FeatureMap.read(dataset / "features.parquet")
    bad = [row for row in rows if row[3] == "cheap" or not row[0] or not row[1]]
    good = [row for row in rows if row not in bad]
    assert manifest.rows_in == len(rows)
    assert sum(manifest.rejected.values()) == len(bad) == pq.read_table(dataset / "rejects").num_rows
    assert (frame["label"] > 0).sum() == manifest.positives == len(good)
    assert table["id"].tolist() == list(range(feature_map.n_ids))
    raw = pd.concat([pq.read_table(dataset / split).to_pandas() for split in ("train", "valid", "test")])
    for ids in feature_map.fields:
        for column in ids.id_columns:
            allowed = {
                ids.unknown_id,
                *(at for piece in ids.ranges for at in range(piece.first, piece.first + piece.size)),
            }
            assert set(raw[column]) <= (allowed | {0} if ids.declared.width > 1 else allowed)
    seen = {(user, app) for user, app, *_ in good}
    negatives = frame[(frame["label"] < 0) & frame["user"].notna()]
    assert not seen & set(negatives[["user", "app"]].itertuples(index=False, name=None))
    counts, open_apps = Counter(user for user, *_ in good), Counter()
    apps = {app for _, app, *_ in good}
    for user in counts:
        open_apps[user] = len(apps - {app for name, app in seen if name == user})
    assert manifest.negatives_found == sum(min(2, open_apps[user]) * count for user, count in counts.items())
    assert raw["row_key"].is_unique
    assert manifest.instances == len(raw)
    assert manifest.units_in_several_splits == 0


@settings(
    max_examples=1, deadline=None, phases=[Phase.explicit, Phase.generate], suppress_health_check=list(HealthCheck)
)
@given(rows=ROWS, cuts=st.lists(st.integers(0, 200), max_size=3), order=st.randoms(use_true_random=False))
def test_any_logs_in_any_order_and_any_files(
    shared_spark: SparkSession, tmp_path_factory: pytest.TempPathFactory, rows, cuts, order
) -> None:
    good = [("u1", "a1", "am", "1", "a|b"), ("u2", "a2", "pm", "2.5", "b")]  # no column is empty throughout
    rows = [*rows, *good]
    digests = []
    for attempt in (1, 2):
        folder = tmp_path_factory.mktemp("case")
        write_files(rows, cuts, folder / "logs")
        config = write_config(
            folder,
            folder / "logs",
            logs={"max_rejected": 1.0, "last_date": None, "keys": []},
            fields=FIELDS,
            split={"by": "positive", "train": 0.4, "valid": 0.3, "test": 0.3},
        )
        shared_spark.conf.set("spark.sql.shuffle.partitions", str(3 * attempt))
        manifest = prepare(shared_spark, load_settings(config))
        check(config, rows, manifest, folder / "dataset")
        digests.append((manifest.digest, manifest.feature_map))
        order.shuffle(rows)
        cuts = cuts[1:]
    shared_spark.conf.set("spark.sql.shuffle.partitions", "2")
    assert digests[0] == digests[1]
