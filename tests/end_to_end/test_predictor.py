"""Scores without Spark are those of a night, bit for bit, for every kind of field and whatever a column holds."""

import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import afm_core.prediction.predictor
from afm_core.errors import BundleError, RowsError
from afm_core.prediction import Predictor
from afm_core.settings import load_settings
from afm_core.settings.cross_checks import REGISTERED_MODELS
from jobs import afm
from tests.support.config import write_tree
from tests.support.files import ROOT
from tests.support.jobs import run_main
from tests.support.odd_rows import FIELDS, odd_logs, typed_rows

NIGHT = "2026-01-09"


@dataclass(frozen=True)
class Scored:
    """A night, its rows as they were written, and what was published."""

    rows: pd.DataFrame
    scores: dict[str, float]
    rejects: list[tuple[str, str]]
    predictor: Predictor


def score(folder: Path, rows: pd.DataFrame, write: Callable[[pd.DataFrame, Path], None], model: str = "afm") -> Scored:
    """Train on usual rows and score a night of others."""
    config = folder / "settings.yaml"
    if not config.exists():
        (folder / "logs").mkdir()
        odd_logs(600, 1, 0.0).to_parquet(folder / "logs" / "train.parquet")
        tree = {
            "name": "odd",
            "logs": {"path": str(folder / "logs"), "format": "parquet", "keys": ["key"], "max_rejected": 1.0},
            "fields": FIELDS,
            "label": {"column": "label"},
            "negatives": {"per_positive": 0},
            "dataset": {"path": str(folder / "dataset"), "rows_per_file": 500},
            "model": {"name": model, "embedding_dim": 4},
            "train": {"task": "classification", "warm_start": None, "epochs": 1, "batch_size": 64},
            "run": {"path": str(folder / "run")},
            "score": {"logs": str(folder / "nights"), "path": str(folder / "scores")},
        }
        write_tree(folder, tree)
        run_main("prepare", config)
        run_main("train", config)
    night = folder / "nights" / f"dt={NIGHT}"
    night.mkdir(parents=True, exist_ok=True)
    write(rows, night / "rows.parquet")
    run_main("score", config, "--date", NIGHT)
    published = folder / "scores" / f"dt={NIGHT}"
    table = pq.read_table(published).to_pydict()
    rejects = pq.read_table(published / "_rejects").to_pylist()
    return Scored(
        rows,
        dict(zip(table["key"], table["score"], strict=True)),
        sorted((row["rule"], row["column"]) for row in rejects),
        Predictor.from_bundle(load_settings(config).run.bundle),
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("odd")


@pytest.fixture(scope="module")
def as_text(folder: Path) -> Scored:
    return score(folder, odd_logs(3000, 2, 0.06), lambda rows, path: rows.to_parquet(path))


def assert_same(scored: Scored, rows: Any) -> None:
    scores, broken = scored.predictor.predict_accepted(rows)
    ours = {
        key: score for key, score, rule in zip(scored.rows["key"], scores.tolist(), broken, strict=True) if not rule
    }
    assert ours.keys() == scored.scores.keys()
    different = {key for key, score in scored.scores.items() if ours[key] != score}
    assert not different, scored.rows[scored.rows["key"].isin(different)].head().to_string()
    assert sorted(tuple(rule.split(" ", 1)) for rule in broken if rule) == scored.rejects


def test_whatever_a_text_column_holds(as_text: Scored) -> None:
    assert len(as_text.scores) > 1500
    assert len({rule for rule, _ in as_text.rejects}) >= 6
    assert len(set(as_text.scores.values())) > 1000
    assert_same(as_text, as_text.rows)


def test_typed_columns(folder: Path, as_text: Scored) -> None:
    rows = odd_logs(1500, 3, 0.0)
    table = typed_rows(rows)
    scored = score(folder, rows, lambda _, path: pq.write_table(table, path))
    assert len(scored.scores) == len(rows)
    assert_same(scored, table)
    assert_same(scored, pl.from_arrow(table))
    assert_same(scored, table.to_batches()[0])
    assert_same(scored, table.to_pandas())


def test_one_row_at_a_time_and_all_at_once_are_the_same(as_text: Scored) -> None:
    rows = as_text.rows[as_text.rows["key"].isin(list(as_text.scores))].head(40)
    at_once = as_text.predictor.predict(rows)
    assert at_once.dtype == np.float32
    one_by_one = [as_text.predictor.predict([row])[0] for row in rows.to_dict("records")]
    assert np.array_equal(at_once, one_by_one)
    table = pa.Table.from_pandas(rows)
    assert np.array_equal(at_once[7:], as_text.predictor.predict(table.slice(7)))
    assert np.array_equal(at_once, as_text.predictor.predict(pa.concat_tables([table.slice(0, 9), table.slice(9)])))
    assert len(as_text.predictor.predict(rows.head(0))) == len(as_text.predictor.predict([])) == 0


def test_rows_are_scored_block_by_block(as_text: Scored, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = as_text.predictor.predict_accepted(as_text.rows)
    monkeypatch.setattr(afm_core.prediction.predictor, "_CELLS_AT_ONCE", 7000)
    in_blocks = as_text.predictor.predict_accepted(as_text.rows)
    assert np.array_equal(whole[0], in_blocks[0], equal_nan=True)
    assert whole[1] == in_blocks[1]


def test_rows_that_a_night_would_reject_are_refused_and_named(as_text: Scored) -> None:
    rows = odd_logs(6, 5, 0.0)
    rows.loc[[1, 4], "shop"] = "x"
    with pytest.raises(RowsError, match=r"reject row 1 \(not_an_integer shop\), row 4 \(not_an_integer shop\); corr"):
        as_text.predictor.predict(rows)
    scores, broken = as_text.predictor.predict_accepted(rows)
    assert (
        np.isnan(scores).tolist() == [rule is not None for rule in broken] == [False, True, False, False, True, False]
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows.drop(columns=["shop", "at"]), "column at, shop missing; the fields of odd read user, item"),
        (lambda rows: rows.assign(user=[1, *["u"] * 5]), "give each column values of one type"),
        (lambda rows: rows.assign(user=[[1]] * 6), "column user is list<item: int64>; allowed are plain values"),
        (
            lambda rows: pa.table([rows["user"]] * 2 + [rows["shop"]], ["user", "user", "shop"]),
            "column user occurs more",
        ),
        (lambda rows: rows.to_dict(), "rows are a dict; allowed are tables of pyarrow, pandas and polars"),
    ],
)
def test_tables_that_cannot_be_read_are_refused(
    as_text: Scored, change: Callable[[pd.DataFrame], Any], message: str
) -> None:
    with pytest.raises(RowsError, match=re.escape(message)):
        as_text.predictor.predict(change(odd_logs(6, 5, 0.0)))


def test_explanations_add_up_to_the_output(as_text: Scored) -> None:
    rows = odd_logs(30, 6, 0.0)
    explained = as_text.predictor.explain(rows, k=500).to_pydict()
    assert np.array_equal(np.array(explained["score"], dtype=np.float32), as_text.predictor.predict(rows))
    outputs = [
        first + sum(pair["contribution"] for pair in pairs)
        for first, pairs in zip(explained["first_order"], explained["interactions"], strict=True)
    ]
    model = as_text.predictor.bundle.calibrated_model
    expected = 1 / (1 + np.exp(-(float(model.slope) * np.array(outputs) + float(model.intercept))))
    np.testing.assert_allclose(explained["score"], expected, rtol=1e-4)
    assert [len(pairs) for pairs in as_text.predictor.explain(rows, k=2)["interactions"].to_pylist()] == [2] * 30


def test_neither_spark_nor_petastorm_is_imported() -> None:
    code = "import sys, afm_core.prediction; print(*sys.modules)"
    outcome = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not {name.partition(".")[0] for name in outcome.stdout.split()} & {"pyspark", "petastorm", "horovod"}


@pytest.mark.long
@pytest.mark.parametrize("model", [name for name in REGISTERED_MODELS if name != "afm"])
def test_every_model(tmp_path: Path, model: str) -> None:
    scored = score(tmp_path, odd_logs(500, 7, 0.02), lambda rows, path: rows.to_parquet(path), model)
    assert_same(scored, scored.rows)
    with pytest.raises(BundleError, match="--explain needs an afm"):
        scored.predictor.explain(odd_logs(3, 6, 0.0))


@pytest.mark.parametrize("format", ["csv", "tsv", "jsonl", "parquet"])
def test_a_file_of_rows(as_text: Scored, folder: Path, tmp_path: Path, format: str) -> None:
    rows = as_text.rows.head(400).drop(columns=["label"])
    source, out = tmp_path / f"rows.{format}", tmp_path / "scores.csv"
    match format:
        case "csv" | "tsv":
            rows.to_csv(source, index=False, sep="\t" if format == "tsv" else ",")
        case "jsonl":
            rows.to_json(source, orient="records", lines=True)
        case _:
            rows.to_parquet(source)
    bundle = load_settings(folder / "settings.yaml").run.bundle
    afm.main(["predict", str(source), "--bundle", str(bundle), "--out", str(out)])
    written = pd.read_csv(out, dtype={"score": np.float32})
    scores, broken = as_text.predictor.predict_accepted(rows)
    assert written["key"].tolist() == rows["key"].tolist()
    assert np.array_equal(written["score"].to_numpy(), scores, equal_nan=True)
    assert written["rejected"].isna().tolist() == [rule is None for rule in broken]
    assert 0 < written["rejected"].count() < len(rows)


def test_malformed_lines_are_counted(
    as_text: Scored, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = odd_logs(20, 8, 0.0)
    lines = rows.to_csv(index=False).splitlines()
    (tmp_path / "rows.csv").write_text("\n".join([*lines[:4], "k,cut", *lines[4:]]))
    bundle = load_settings(folder / "settings.yaml").run.bundle
    afm.main(["predict", str(tmp_path / "rows.csv"), "--bundle", str(bundle)])
    told = capsys.readouterr()
    assert "rejected: malformed" in told.err
    assert [line.split(",")[0].strip('"') for line in told.out.splitlines()[1:]] == rows["key"].tolist()


def test_a_file_that_cannot_be_read(
    as_text: Scored, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = str(load_settings(folder / "settings.yaml").run.bundle)
    (tmp_path / "rows.csv").write_text("key,user\nk1,u1\n")
    for source, message in [
        ("rows.csv", "missing; the fields of odd read user, item"),
        ("none.csv", "none.csv: cannot be read"),
        ("scores.csv", "is the file of the rows; write the scores to another one"),
    ]:
        (tmp_path / "scores.csv").write_text("earlier")
        with pytest.raises(SystemExit, match="2"):
            afm.main(["predict", str(tmp_path / source), "--bundle", bundle, "--out", str(tmp_path / "scores.csv")])
        assert (tmp_path / "scores.csv").read_text() == "earlier"
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("error: ")
        assert message in line
