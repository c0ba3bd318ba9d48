"""From files as they are published to the scores of a night, by the YAML of the data set alone."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml

from tests.support.files import ROOT
from tests.support.jobs import RunJob
from tests.support.published_formats import ROWS, SAMPLES, write_sample, write_tables

YAMLS = ROOT / "conf" / "data_sets"
NIGHT = "2014-11-01"
IN_CI = ("movielens_1m",)


def test_every_data_set_has_a_sample() -> None:
    assert {path.stem for path in YAMLS.iterdir()} == SAMPLES.keys()


@pytest.mark.parametrize(
    "name", [name if name in IN_CI else pytest.param(name, marks=pytest.mark.long) for name in SAMPLES]
)
def test_prepared_trained_and_scored(
    run_job: RunJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    config = YAMLS / f"{name}.yaml"
    settings = yaml.safe_load(config.read_text())
    monkeypatch.chdir(tmp_path)  # the paths of the settings are relative
    logs = Path(settings["logs"]["path"])
    write_sample(name, logs, 1)
    write_tables(name, logs.parent)
    write_sample(name, Path(settings["score"]["logs"]) / f"dt={NIGHT}" / logs.name, 2)
    small = ["train.epochs=1", "train.batch_size=64", "train.warm_start.epochs=1", "dataset.rows_per_file=128"]
    changed = [part for text in small for part in ("--set", text)]
    for job, *arguments in (("prepare",), ("train",), ("evaluate",), ("score", "--date", NIGHT)):
        outcome = run_job(job, config, *changed, *arguments)
        assert outcome.code == 0, outcome.err
    scores = pq.ParquetDataset(Path(settings["score"]["path"]) / f"dt={NIGHT}").read()
    assert scores.num_rows == ROWS
    assert len(set(scores["score"].to_pylist())) > 20
