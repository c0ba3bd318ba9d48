"""Logs and joined tables that are written while a job reads them."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from afm_core.settings.data import LogsSettings
from pipelines import phases
from pipelines.logs.inputs import Inputs
from pipelines.preparation import prepare
from tests.support.config import write_minimal_config
from tests.support.files import snapshot
from tests.support.jobs import RunJob, without_spark

NIGHT = "2026-01-02"


def test_a_table_of_the_catalogue_has_no_files_to_compare() -> None:
    inputs = Inputs.of(LogsSettings.model_validate({"path": "db.logs", "format": "table"}), without_spark)
    inputs.require_unchanged()
    assert inputs.fingerprint is None


@pytest.fixture
def config(tmp_path: Path) -> Path:
    for day in ("2026-01-01", NIGHT):
        at = range(100)
        rows = {"event": at, "user": [f"u{each % 37}" for each in at], "item": [f"i{each % 9}" for each in at]}
        (tmp_path / "logs" / f"dt={day}").mkdir(parents=True)
        pd.DataFrame(rows).to_csv(tmp_path / "logs" / f"dt={day}" / "a.csv", index=False)
    write_items(tmp_path, "a")
    join = {"path": str(tmp_path / "items"), "on": "item", "columns": ["genre"]}
    return write_minimal_config(
        tmp_path,
        tmp_path / "logs",
        ["user", "item", "genre"],
        logs={"path": str(tmp_path / "logs"), "keys": ["event"], "last_date": "2026-01-01", "join": [join]},
        model={"name": "fm", "embedding_dim": 4},
        train={"epochs": 1, "batch_size": 64},
    )


def write_items(folder: Path, genre: str, name: str = "a.csv") -> None:
    (folder / "items").mkdir(exist_ok=True)
    frame = pd.DataFrame({"item": [f"i{at}{name[1:-4]}" for at in range(9)], "genre": genre})
    frame.to_csv(folder / "items" / name, index=False)


def test_what_changes_while_it_is_read_is_not_published(
    run_job: RunJob, config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for job in ("prepare", "train"):
        assert run_job(job, config).code == 0
    _change_the_logs_of_a_night(run_job, config, tmp_path, monkeypatch)
    _change_a_joined_table_of_a_preparation(run_job, config, tmp_path, monkeypatch)


def _change_the_logs_of_a_night(run_job: RunJob, config: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = folder / "logs" / f"dt={NIGHT}" / "a.csv"

    def append(phase: str, context: object) -> None:
        if phase == phases.FILES_WRITTEN:
            log.write_text(log.read_text() + "100,u1,i1\n")

    with monkeypatch.context() as patch:
        patch.setattr(phases, "_listeners", [append])
        outcome = run_job("score", config, "--date", NIGHT)
    assert outcome.code == 75
    assert str(log) in outcome.errors[0]
    assert not (folder / "scores" / f"dt={NIGHT}").exists()
    assert run_job("score", config, "--date", NIGHT).code == 0


def _change_a_joined_table_of_a_preparation(
    run_job: RunJob, config: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the events and the candidates of negatives, which read it again."""
    published, build = snapshot(folder / "dataset"), prepare.build_instances
    write_items(folder, "b")
    for file in ("a.csv", "a2.csv"):

        def build_instances(*arguments: Any, file: str = file) -> Any:
            write_items(folder, "c", file)
            return build(*arguments)

        monkeypatch.setattr(prepare, "build_instances", build_instances)
        outcome = run_job("prepare", config)
        assert outcome.code == 75
        assert f"{folder / 'items' / file}: was written or removed while the job read it" in outcome.errors[0]
        assert snapshot(folder / "dataset") == published
