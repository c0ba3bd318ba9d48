"""Tables that say more about what the logs name."""

from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from afm_core.errors import LogsError, SettingsError
from afm_core.settings import load_settings
from tests.support.config import write_minimal_config
from tests.support.reading import read, settings_of

LOGS = "user,item\nu1,1\nu2, 2\nu1,3\nu3,\n"
MOVIES = "1::Toy Story (1995)::Animation|Comedy\n2::Été (1968)::Drama\n9::Other (2000)::\\N\n"
JOIN: dict[str, Any] = {
    "on": "item",
    "columns": ["genres", "title"],
    "header": ["item", "title", "genres"],
    "separator": "::",
    "encoding": "latin-1",
}
YEAR = {"name": "year", "column": "title", "extract": r"\((\d{4})\)$"}


def joined(folder: Path, table: str, fields: list, **changes: Any) -> Any:
    (folder / "logs.csv").write_text(LOGS)
    (folder / "movies.dat").write_bytes(table.encode("latin-1"))
    return settings_of(
        folder, folder / "logs.csv", fields, join=[{"path": str(folder / "movies.dat"), **JOIN, **changes}]
    )


def test_columns_of_the_table_are_those_of_the_logs(spark: SparkSession, tmp_path: Path) -> None:
    fields = ["user", "item", YEAR, {"name": "genres", "kind": "tags", "length": 2}]
    assert sorted(read(spark, joined(tmp_path, MOVIES, fields)), key=str) == sorted(
        [
            ("u1", "1", "1995", "Animation|Comedy"),
            ("u2", "2", "1968", "Drama"),
            ("u1", "3", None, None),
            ("u3", None, None, None),
        ],
        key=str,
    )


def test_the_key_may_have_another_name_and_not_be_a_field(spark: SparkSession, tmp_path: Path) -> None:
    fields = ["user", {"name": "name", "column": "title"}]
    settings = joined(tmp_path, MOVIES, fields, key="movie", header=["movie", "title", "genres"])
    assert ("u2", "Été (1968)") in read(spark, settings)


def test_two_tables(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "logs.csv").write_text(LOGS)
    (tmp_path / "users.csv").write_text("user,age\nu1,20\nu1,20\nu2,\n")
    spark.createDataFrame([("1", ["a", "b"])], "item string, tags array<string>").write.parquet(f"{tmp_path / 'items'}")
    joins = [
        {"path": str(tmp_path / "users.csv"), "on": "user", "columns": "age"},
        {"path": str(tmp_path / "items"), "format": "parquet", "on": "item", "columns": "tags"},
    ]
    fields = ["user", {"name": "age", "kind": "numeric"}, {"name": "tags", "kind": "tags", "length": 2}]
    found = read(spark, settings_of(tmp_path, tmp_path / "logs.csv", fields, join=joins))
    assert ("u1", "20", "\x1fa\x1fb") in found
    assert ("u2", None, None) in found


@pytest.mark.parametrize(
    ("table", "changes", "message"),
    [
        (MOVIES + "2::Again (2001)::x\n", {}, r"movies.dat: item '2' stands there more than once.*and so do 0 others"),
        (MOVIES + "4::x\n", {}, r"movies.dat: a line has another number of columns than the header: '4::x'"),
        (MOVIES, {"columns": ["genres", "titles"]}, "column title missing; found: user, item"),
        (MOVIES, {"header": ["id", "title", "genres"]}, "movies.dat: column item missing; found: id, title, genres"),
        (MOVIES, {"path": "nowhere.csv"}, "nowhere.csv: no logs there"),
    ],
)
def test_what_cannot_be_joined(
    spark: SparkSession, tmp_path: Path, table: str, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(LogsError, match=message):
        read(spark, joined(tmp_path, table, ["user", "item", "genres", {"name": "name", "column": "title"}], **changes))


@pytest.mark.parametrize(
    ("join", "negatives", "fields", "message"),
    [
        ([JOIN, JOIN], {}, ["user", "item"], "logs.join: two tables add the column genres"),
        ([{**JOIN, "on": "title"}], {}, ["user", "item"], "logs.join: on: title is a column that a join adds"),
        ([JOIN], {"never_seen_by": ["user", "genres"]}, ["user", "item", "genres"], "never_seen_by: genres belongs to"),
        ([JOIN], {"replace": ["item", "genres"]}, ["user", "item", "genres"], "replace: genres belongs to the item"),
        (
            [JOIN],
            {},
            ["user", {"name": "item", "ignore_case": True}, "genres"],
            "item: ignore_case: its values",
        ),
    ],
)
def test_settings_that_contradict_a_join(
    tmp_path: Path, join: list, negatives: dict, fields: list, message: str
) -> None:
    logs = {"path": "logs.csv", "join": [{"path": "movies.dat", **each} for each in join]}
    config = write_minimal_config(tmp_path, "logs.csv", fields, logs=logs, negatives=negatives)
    with pytest.raises(SettingsError, match=message):
        load_settings(config)
