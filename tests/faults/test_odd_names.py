"""Columns of the logs may have any name: that of a column of ours or of Spark's, with dots, blanks or backticks."""

from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from pipelines.dataset import Dataset
from tests.support.config import write_minimal_config
from tests.support.jobs import RunJob

FIELDS = {  # name of a field, and of its column: ours, earlier ones of ours, and those that Spark's syntax cannot hold
    "user": "_corrupt",
    "index": "a.b",
    "split": "x`y",
    "count": "label",
    "file": "weight",
    "value": "row_key",
    "reject": "user id",
}
KEY = "_reject"
NIGHT = "2026-01-02"
ROWS = 60


def events() -> pd.DataFrame:
    columns = {
        column: [f"{position}{row * (position + 3) % (4 + position)}" for row in range(ROWS)]
        for position, column in enumerate(FIELDS.values())
    }
    return pd.DataFrame({KEY: [f"e{row}" for row in range(ROWS)], **columns, "_values": "x", "_row": "y"})


def written(folder: Path, name: str, frame: pd.DataFrame) -> Path:
    for day in ("2026-01-01", NIGHT):
        night = folder / "logs" / f"dt={day}"
        night.mkdir(parents=True)
        match name:
            case "csv":
                frame.to_csv(night / "a.csv", index=False)
            case "json":
                frame.to_json(night / "a.json", orient="records", lines=True)
            case "parquet":
                frame.to_parquet(night / "a.parquet")
    return folder / "logs"


def config(folder: Path, name: str, frame: pd.DataFrame, fields: dict[str, str], key: str) -> Path:
    return write_minimal_config(
        folder,
        written(folder, name, frame),
        [{"name": field, "column": column} for field, column in fields.items()],
        logs={
            "path": str(folder / "logs"),
            "format": name,
            "keys": [key],
            "last_date": "2026-01-01",
            "max_rejected": 0.1,
        },
        negatives={"per_positive": 1, "replace": list(fields)[-1], "never_seen_by": next(iter(fields))},
        model={"name": "fm", "embedding_dim": 4},
        # Classified: the scores of a regression end at 1, and here nearly all rows have that one.
        train={"task": "classification", "epochs": 1, "batch_size": 32},
    )


@pytest.mark.parametrize("name", ["csv", "parquet", pytest.param("json", marks=pytest.mark.long)])
def test_the_names_of_columns_and_fields_change_nothing(run_job: RunJob, tmp_path: Path, name: str) -> None:
    frame = events()
    frame.loc[5, "_corrupt"] = None  # rejected: no negatives can be drawn for it
    odd = config(tmp_path / "odd", name, frame, FIELDS, KEY)
    plain_names = dict(zip([KEY, *FIELDS.values()], ["key", *(f"c{at}" for at in range(len(FIELDS)))], strict=True))
    plain_fields = {f"f{at}": f"c{at}" for at in range(len(FIELDS))}
    plain = config(tmp_path / "plain", name, frame.rename(columns=plain_names), plain_fields, "key")
    for settings in (odd, plain):
        assert run_job("prepare", settings).code == 0
    datasets = [Dataset.open(tmp_path / folder / "dataset") for folder in ("odd", "plain")]
    assert datasets[0].manifest.digest == datasets[1].manifest.digest
    assert datasets[0].manifest.rejected == {"missing _corrupt": 1}

    assert run_job("train", odd).code == 0
    assert run_job("score", odd, "--date", NIGHT).code == 0
    night = tmp_path / "odd" / "scores" / f"dt={NIGHT}"
    scores = pq.read_table(night).to_pandas()
    assert sorted(scores[KEY]) == sorted(f"e{row}" for row in range(ROWS) if row != 5)
    assert scores["score"].nunique() > 10
    rejects = pq.read_table(night / "_rejects").to_pylist()
    assert [(row["rule"], row["column"]) for row in rejects] == [("missing", "_corrupt")]


@pytest.mark.parametrize("name", ["json", "parquet"])
def test_the_one_name_that_spark_needs_is_refused(run_job: RunJob, tmp_path: Path, name: str) -> None:
    frame = events().rename(columns={"a.b": "_metadata"})
    fields = {**FIELDS, "index": "_metadata"}
    outcome = run_job("prepare", config(tmp_path, name, frame, fields, KEY))
    assert (outcome.code, len(outcome.errors)) == (2, 1), outcome.err
    assert "column _metadata has the name of a column of Spark's own; rename it" in outcome.errors[0]


REFUSED = {
    "columns that differ in case alone": (
        {"fields": ["user", {"name": "app", "column": "USER"}]},
        "the settings names user, USER more than once; rename the columns",
    ),
    "names of ours": (
        {"fields": ["user", {"name": "app", "column": "_ corrupt"}]},
        "the settings name column '_ corrupt'; names that begin with an underscore and a blank are kept",
    ),
    "fields that differ in case alone": ({"fields": ["user", "User"]}, "fields: User, user declared more than once"),
    "a field with a reserved name in capitals": ({"fields": ["user", "Label"]}, "fields: Label is a column that the"),
    "a key that scores have": (
        {"fields": ["user", "app"], "logs": {"path": "none", "keys": ["Score"]}},
        "logs.keys: found 'Score', which is a column of the scores; rename it in the logs or leave it out",
    ),
    "a field that scores have": (
        {"fields": ["user", {"name": "phone", "column": "model"}]},
        "fields: column 'model' is a column of the scores, which carry the columns of all fields; set logs.keys",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_names_that_cannot_be_are_refused_in_one_line(run_job: RunJob, tmp_path: Path, case: str) -> None:
    sections, message = REFUSED[case]
    (tmp_path / "logs.csv").write_text("user,USER,app\nu1,a1,a\n")
    sections = {"negatives": {"per_positive": 0}, **sections}
    fields = sections.pop("fields")
    outcome = run_job("prepare", write_minimal_config(tmp_path, tmp_path / "logs.csv", fields, **sections))
    assert (outcome.code, len(outcome.errors)) == (2, 1), outcome.err
    assert message in outcome.errors[0]
