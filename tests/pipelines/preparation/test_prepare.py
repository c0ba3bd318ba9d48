"""Preparation on small random tables: what must hold of any input."""

import io
import json
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from afm_core.features import FeatureMap
from afm_core.settings import load_settings
from pipelines.dataset import Dataset, Manifest
from pipelines.encoding.digest import digest
from pipelines.encoding.indexing import INDEX, index_within_groups
from pipelines.preparation.prepare import prepare
from tests.support.config import write_config
from tests.support.decoding import decoded, instances
from tests.support.files import snapshot
from tests.support.small import Small


def raw_logs(small: Small) -> pd.DataFrame:
    """The whole lines of the three days, read without any of our code."""
    days = [small.settings.logs.path / f"dt=2026-01-0{day}" / "part-00000.csv" for day in (1, 2, 3)]
    header, *lines = [line for day in days for line in day.read_text().splitlines()]
    whole = [line for line in lines if line != header and line.count(",") == header.count(",")]
    return pd.read_csv(io.StringIO("\n".join([header, *whole])), dtype=str)


@pytest.fixture(scope="module")
def manifest(small: Small) -> Manifest:
    return Dataset.open(small.settings.dataset.path).manifest


def test_every_row_is_accounted_for(small: Small, manifest: Manifest) -> None:
    assert manifest.rows_in == 3 * 400
    assert manifest.rows_in == manifest.positives + sum(manifest.rejected.values())
    assert manifest.instances == manifest.positives + manifest.negatives_found
    assert manifest.instances == sum(split.rows for split in manifest.splits.values())
    rejects = pq.read_table(small.settings.dataset.path / "rejects").to_pandas()
    assert len(rejects) == sum(manifest.rejected.values()) > 0
    assert set(rejects["rule"]) <= {"malformed", "missing"}
    assert rejects["raw"].notna().all()
    assert rejects["file"].str.contains("dt=2026-01-0").all()


def test_the_manifest_says_what_the_files_hold(small: Small, manifest: Manifest) -> None:
    frame = instances(small.settings.dataset.path)
    for name, split in manifest.splits.items():
        rows = frame[frame["split"] == name]
        assert (split.rows, split.positives) == (len(rows), int((rows["label"] > 0).sum()))
    assert frame["row_key"].is_unique
    shares = frame["split"].value_counts(normalize=True)
    assert shares["train"] == pytest.approx(0.7, abs=0.04)
    assert shares["valid"] == pytest.approx(0.2, abs=0.04)


def test_every_file_is_one_row_group_of_exactly_the_rows_that_were_asked_for(small: Small, manifest: Manifest) -> None:
    for name, split in manifest.splits.items():
        footers = [pq.read_metadata(file) for file in sorted((small.settings.dataset.path / name).glob("*.parquet"))]
        assert len(footers) == split.files
        assert all(footer.num_row_groups == 1 for footer in footers)
        assert [footer.num_rows for footer in footers[:-1]] == [256] * (len(footers) - 1)
        assert footers[0].row_group(0).column(0).compression == "ZSTD"


def test_ids_are_consecutive_by_field_falling_count_then_value(small: Small) -> None:
    path = small.settings.dataset.path / "features.parquet"
    table, layout = pq.read_table(path).to_pandas(), FeatureMap.read(path)
    assert table["id"].tolist() == list(range(layout.n_ids))
    assert table["value"].isna().tolist() == [True] * (1 + len(layout.fields)) + [False] * layout.n_features
    logs = raw_logs(small).dropna(subset=["user", "app"])
    for field in layout.fields:
        counts = logs[field.name].value_counts()
        minimum = 2 if field.name in ("user", "app") else 1
        expected = sorted(((-n, value) for value, n in counts.items() if n >= minimum))
        (ids,) = field.ranges
        rows = table[table["id"].between(ids.first, ids.first + ids.size - 1)]
        assert [(-n, value) for n, value in zip(rows["count"], rows["value"], strict=True)] == expected
        unknown = table.loc[field.unknown_id]
        assert unknown["field"] == field.name
        assert unknown["count"] == len(logs) - sum(-n for n, _ in expected)


def test_positives_are_the_logs(small: Small) -> None:
    frame = decoded(small.settings.dataset.path)
    known = {name: set(frame[name].dropna()) for name in ("user", "app")}
    logs = raw_logs(small).dropna(subset=["user", "app"])
    columns = list(small.settings.field_names)
    for name in ("user", "app"):
        logs[name] = logs[name].where(logs[name].isin(known[name]), None)
    expected = logs[columns].where(logs[columns].notna(), None).value_counts(dropna=False)
    actual = frame[frame["label"] > 0][columns].value_counts(dropna=False)
    assert actual.sort_index().equals(expected.sort_index())


def test_negatives_differ_from_their_positive_in_the_app_only_and_were_never_seen(small: Small) -> None:
    frame = decoded(small.settings.dataset.path)
    seen = set(raw_logs(small)[["user", "app"]].itertuples(index=False, name=None))
    negatives = frame[(frame["label"] < 0) & frame["user"].notna()]
    assert len(negatives) > 1000
    assert not seen & set(negatives[["user", "app"]].itertuples(index=False, name=None))
    assert negatives["app"].notna().all()
    context = [name for name in small.settings.field_names if name != "app"]
    positives = frame[frame["label"] > 0]
    twice = (positives[context].value_counts(dropna=False) * 2).sort_index()
    assert frame[frame["label"] < 0][context].value_counts(dropna=False).sort_index().equals(twice)


def test_same_seed_same_bytes_and_another_seed_other_rows(small: Small, spark: SparkSession, tmp_path: Path) -> None:
    actual = {}
    for name, seed in (("again", 1), ("other", 2)):
        config = write_config(tmp_path / name, small.settings.logs.path, seed=seed)
        prepare(spark, load_settings(config))
        actual[name] = snapshot(tmp_path / name / "dataset" / "train")
    ours = snapshot(small.settings.dataset.path / "train")
    assert actual["again"] == ours
    assert set(actual["other"].values()).isdisjoint(ours.values())


@pytest.mark.parametrize("format_", ["json", "parquet"])
def test_json_lines_and_parquet_give_the_same_rows_as_csv(
    small: Small, spark: SparkSession, tmp_path: Path, format_: str
) -> None:
    whole = raw_logs(small)
    if format_ == "json":
        text = "\n".join(json.dumps({k: v for k, v in row.items() if pd.notna(v)}) for row in whole.to_dict("records"))
        (tmp_path / "logs.json").write_text(text)
    else:
        whole.to_parquet(tmp_path / "logs.parquet")
    logs = {"path": str(tmp_path / f"logs.{format_}"), "format": format_, "last_date": None}
    prepare(spark, load_settings(write_config(tmp_path, tmp_path / "nights", logs=logs)))
    assert snapshot(tmp_path / "dataset" / "train") == snapshot(small.settings.dataset.path / "train")


def test_equal_logs_keep_a_row_each_and_few_items_give_few_negatives(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "logs.csv").write_text("user,app\n" + "ann,x\n" * 3 + "bob,x\nbob,y\nbob,z\n")
    logs = {"path": str(tmp_path / "logs.csv"), "keys": [], "last_date": None}
    plain = write_config(tmp_path, tmp_path / "nights", logs=logs, fields=["user", "app"])
    manifest = prepare(spark, load_settings(plain))
    frame = decoded(tmp_path / "dataset")
    assert (manifest.positives, manifest.negatives_asked, manifest.negatives_found) == (6, 12, 6)
    assert frame["row_key"].is_unique
    assert len(frame) == 12
    negatives = frame[frame["label"] < 0]
    assert (
        sorted(negatives[["user", "app"]].itertuples(index=False, name=None)) == [("ann", "y")] * 3 + [("ann", "z")] * 3
    )


@pytest.mark.parametrize("partitions", [1, 3, 7])
def test_indices_are_consecutive_within_groups_whatever_the_partitions(spark: SparkSession, partitions: int) -> None:
    frame = spark.range(1000).withColumn("group", (F.col("id") % 3).cast("int")).repartition(partitions)
    spark.conf.set("spark.sql.shuffle.partitions", str(partitions))
    indexed = index_within_groups(frame, "group", [F.desc("id")])
    assert indexed.rows == {0: 334, 1: 333, 2: 333}
    rows = indexed.frame.toPandas()
    for _, members in rows.groupby("group"):
        assert members.sort_values("id", ascending=False)[INDEX].tolist() == list(range(len(members)))


def test_the_digest_knows_nulls_and_counts_but_not_order(spark: SparkSession) -> None:
    def of(*rows: tuple) -> str:
        return digest(spark.createDataFrame(list(rows), "a string, b string"))

    assert of(("x", None), ("y", "z")) == of(("y", "z"), ("x", None))
    assert of(("x", None)) != of((None, "x"))
    assert of(("x", "y")) != of(("x", "y"), ("x", "y"))


def test_a_column_may_hold_the_separator_and_fields_may_ignore_case(spark: SparkSession, tmp_path: Path) -> None:
    """Two users and two movies share all tags but one, so that what may be drawn for each pair is a single tag."""
    lines = [
        "u1;m1;A;B;7",
        "u1;m2;a;b;8",
        "u2;m1;plain;9",
        "u2;m2;PLAIN;9",
        "u1;m1;Plain;9",
        "u1;m1",
        "",
        "u2;m2; x ;9",
    ]
    (tmp_path / "tags.dat").write_text("\n".join(lines) + "\n")
    config = write_config(
        tmp_path,
        tmp_path / "tags.dat",
        logs={
            "separator": ";",
            "columns": ["user", "movie", "tag", "seconds"],
            "separator_in": "tag",
            "keys": [],
            "max_rejected": 0.2,
            "last_date": None,
        },
        fields=["user", "movie", {"name": "tag", "ignore_case": True}],
        negatives={"per_positive": 3, "replace": "tag", "never_seen_by": ["user", "movie"]},
    )
    manifest = prepare(spark, load_settings(config))
    assert (manifest.rows_in, manifest.rejected) == (7, {"malformed": 1})
    rejects = pq.read_table(tmp_path / "dataset" / "rejects").to_pandas()
    assert rejects[["raw", "rule"]].to_numpy().tolist() == [["u1;m1", "malformed"]]
    frame = decoded(tmp_path / "dataset")
    tags = frame.groupby([frame["label"] > 0, "user", "movie"])["tag"].agg(sorted)
    assert tags[True].to_dict() == {
        ("u1", "m1"): ["a;b", "plain"],
        ("u1", "m2"): ["a;b"],
        ("u2", "m1"): ["plain"],
        ("u2", "m2"): ["plain", "x"],
    }
    assert tags[False].to_dict() == {
        ("u1", "m1"): ["x", "x"],
        ("u1", "m2"): ["plain", "x"],
        ("u2", "m1"): ["a;b", "x"],
        ("u2", "m2"): ["a;b", "a;b"],
    }


@pytest.mark.parametrize("by", ["positive", "user"])
def test_what_must_stay_together_is_in_one_split(small: Small, spark: SparkSession, tmp_path: Path, by: str) -> None:
    config = write_config(tmp_path, small.settings.logs.path, split={"by": by})
    manifest = prepare(spark, load_settings(config))
    assert (manifest.split_by, manifest.units_in_several_splits) == (by, 0)
    assert manifest.digest != Dataset.open(small.settings.dataset.path).manifest.digest
    assert all(split.rows for split in manifest.splits.values())
    frame = instances(tmp_path / "dataset")
    if by == "user":
        assert (frame.groupby("user")["split"].nunique() == 1).all()
    else:
        labels = frame.groupby("split")["label"].value_counts().unstack()
        assert (labels[-1.0] == 2 * labels[1.0]).all()
