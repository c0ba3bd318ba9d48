"""Logs that lie in several places."""

import gzip
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from afm_core.errors import LogsError, ReplacedLogsError, SettingsError
from pipelines.dataset import Dataset
from pipelines.logs.inputs import Inputs
from tests.support.decoding import assert_same_dataset
from tests.support.jobs import RunJob
from tests.support.reading import read, settings_of
from tests.support.small import Small


@pytest.fixture
def web(tmp_path: Path) -> Path:
    path = tmp_path / "web" / "a.csv"
    path.parent.mkdir()
    path.write_text("user,item\nu1,i1\nu2,i2\n")
    return path


@pytest.fixture
def app(tmp_path: Path) -> Path:
    path = tmp_path / "mobile" / "day=3" / "a.csv.gz"
    path.parent.mkdir(parents=True)
    path.write_bytes(gzip.compress(b"item,screen,user\ni1,small,u3\n"))
    return path


def test_the_rows_of_all_are_read(spark: SparkSession, tmp_path: Path, web: Path, app: Path) -> None:
    """Each has a header, and partitions, of its own."""
    paths = [str(web), f"file://{app.parent.parent}"]
    settings = settings_of(tmp_path, web, ["user", "item", "day"], path=paths, optional=["day"])
    assert read(spark, settings) == [("u1", "i1", None), ("u2", "i2", None), ("u3", "i1", "3")]


def test_a_joined_table_may_lie_in_several_places(spark: SparkSession, tmp_path: Path, web: Path) -> None:
    for name, line in (("old", "i1,red"), ("new", "i2,blue")):
        (tmp_path / f"{name}.csv").write_text(f"item,colour\n{line}\n")
    tables = {"path": [str(tmp_path / "old.csv"), str(tmp_path / "new.csv")], "on": "item", "columns": ["colour"]}
    settings = settings_of(tmp_path, web, ["user", "colour"], join=[tables])
    assert read(spark, settings) == [("u1", "red"), ("u2", "blue")]


def test_what_is_missing_or_wrong_in_one_is_named(spark: SparkSession, tmp_path: Path, web: Path, app: Path) -> None:
    def error(*paths: Path, **logs: Any) -> str:
        settings = settings_of(tmp_path, web, path=list(map(str, paths)), **logs)
        with pytest.raises(LogsError) as raised:
            read(spark, settings)
        return str(raised.value)

    missing = tmp_path / "missing"
    assert error(web, missing) == f"{missing}: no logs there; set logs.path"
    app.write_bytes(gzip.compress(b"item,screen\ni1,small\n"))
    assert error(web, app).startswith(f"{app}: column user missing")
    assert error(web, app.parent.parent, first_date="2026-01-01").startswith(f"{web}: logs.first_date and")


def test_no_file_is_read_twice(spark: SparkSession, tmp_path: Path, web: Path) -> None:
    settings = settings_of(tmp_path, web, path=[str(web), str(web.parent / "*.csv")])
    (tmp_path / "link").symlink_to(web.parent)
    with pytest.raises(LogsError, match=r"link/a\.csv: is named by two paths"):
        Inputs.of(settings_of(tmp_path, web, path=[str(web), str(tmp_path / "link")]).logs, lambda: spark)
    with pytest.raises(LogsError, match=r"a\.csv: is named by two paths, and would be read twice; correct"):
        Inputs.of(settings.logs, lambda: spark)
    with pytest.raises(SettingsError, match=r"logs\.path: .*a\.csv is named twice"):
        settings_of(tmp_path, web, path=[str(web), str(web)])
    with pytest.raises(SettingsError, match=r"logs\.path: found an empty list, allowed is a path, or a list of paths"):
        settings_of(tmp_path, web, path=[])


def test_a_place_without_logs_between_the_dates_is_left_out(spark: SparkSession, tmp_path: Path) -> None:
    days = [tmp_path / f"dt=2026-01-0{day}" for day in (1, 2, 3)]
    for day in days:
        day.mkdir()
        (day / "a.csv").write_text(f"user,item\n{day.name[-1]},i\n")
    paths = [str(days[0]), str(days[1]), str(days[2] / "a.csv")]
    assert read(spark, settings_of(tmp_path, days[0], path=paths, first_date="2026-01-02")) == [("2", "i"), ("3", "i")]
    with pytest.raises(LogsError, match=r"dt=2026-01-01: holds no rows from 2027-01-01 to the last; correct"):
        read(spark, settings_of(tmp_path, days[0], path=paths, first_date="2027-01-01"))


def test_a_change_in_any_of_them_is_seen(spark: SparkSession, tmp_path: Path, web: Path, app: Path) -> None:
    settings = settings_of(tmp_path, web, path=[str(web), str(app)])
    inputs = Inputs.of(settings.logs, lambda: spark)
    inputs.require_unchanged()
    app.unlink()
    with pytest.raises(ReplacedLogsError, match=r"a\.csv\.gz: was written or removed while the job read it"):
        inputs.require_unchanged()


def test_the_dataset_is_that_of_one_folder(small: Small, tmp_path: Path, run_job: RunJob) -> None:
    days = [str(day) for day in sorted(Path(str(small.settings.logs.path)).glob("dt=*"))]
    changes = f"logs.path=[{', '.join(days)}]"
    config = tmp_path / "settings.yaml"
    config.write_text(small.config.read_text())
    path = tmp_path / "dataset"
    outcome = run_job("prepare", config, "--set", changes, "--set", f"dataset.path={path}")
    assert outcome.code == 0, outcome.err
    assert_same_dataset(Dataset.open(path), small.dataset)
