"""Nights that are still being written, empty ones, and those that the model knows nothing of."""

import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.support.jobs import RunJob
from tests.support.small import Small

HEADER = "event_id,user,app,daypart,weekday,place"


def config_for(folder: Path, small: Small, nights: Path, **score: object) -> Path:
    return small.scoring_config(folder, nights, score={"max_unknown": 0.9, **score})


@pytest.fixture
def nights(small: Small, tmp_path: Path) -> Path:
    """A usual night, an empty folder, and a file without rows."""
    usual = (small.settings.nightly.logs / "dt=2026-01-02" / "part-00000.csv").read_text()
    for day, text in (("01", usual), ("02", None), ("03", HEADER + "\n")):
        folder = tmp_path / "nights" / f"dt=2026-02-{day}"
        folder.mkdir(parents=True)
        if text is not None:
            (folder / "part.csv").write_text(text)
    return tmp_path / "nights"


@pytest.mark.parametrize("inside", ["_temporary/0/x", None])
def test_a_night_that_is_still_being_written_is_tried_again_later(
    small: Small, nights: Path, tmp_path: Path, run_job: RunJob, inside: str | None
) -> None:
    logs, config = nights / "dt=2026-02-02", config_for(tmp_path, small, nights, allow_empty=False)
    if inside is not None:
        shutil.copy(nights / "dt=2026-02-01" / "part.csv", logs / "a.csv")
        (logs / inside).parent.mkdir(parents=True, exist_ok=True)
        (logs / inside).write_text("e1,u1")
    outcome = run_job("score", config, "--date", "2026-02-02")
    said = "the logs are still being written" if inside else "an empty folder, and nothing says that it is complete"
    assert (outcome.code, said in outcome.err) == (75, True), outcome.err
    assert not (tmp_path / "scores" / "dt=2026-02-02").exists()


def test_marks_of_complete_nights(small: Small, nights: Path, tmp_path: Path, run_job: RunJob) -> None:
    config = config_for(tmp_path, small, nights, allow_empty=False)
    waiting = ("--set", "score.wait_for=_DONE")
    outcome = run_job("score", config, "--date", "2026-02-01", *waiting)
    assert (outcome.code, "no _DONE yet, which score.wait_for names" in outcome.err) == (75, True)
    (nights / "dt=2026-02-01" / "_DONE").touch()
    assert run_job("score", config, "--date", "2026-02-01", *waiting).code == 0
    (nights / "dt=2026-02-02" / "_SUCCESS").touch()
    assert run_job("score", config, "--date", "2026-02-02").code == 0
    assert pq.read_table(tmp_path / "scores" / "dt=2026-02-02").num_rows == 0
    shutil.copy(nights / "dt=2026-02-01" / "part.csv", nights / "dt=2026-02-02" / "late.csv")
    outcome = run_job("score", config, "--missing", "14", "--set", "score.max_unknown=1")
    assert outcome.code == 75, "the third night has no rows yet"
    assert pq.read_table(tmp_path / "scores" / "dt=2026-02-02").num_rows > 300, "logs that came late are scored"


def test_a_night_that_the_model_knows_nothing_of_is_refused(small: Small, tmp_path: Path, run_job: RunJob) -> None:
    night = tmp_path / "nights" / "dt=2026-02-01"
    night.mkdir(parents=True)
    strangers = [f"e{at},{at}.0,{at}.0,?,friday,home" for at in range(50)]
    (night / "part.csv").write_text("\n".join([HEADER, *strangers]) + "\n")
    config = small.scoring_config(tmp_path, tmp_path / "nights")
    outcome = run_job("score", config, "--date", "2026-02-01")
    assert outcome.code == 2
    assert "the model knows no value of user, app, daypart in more than 99% of the rows" in outcome.err
    assert run_job("score", config, "--date", "2026-02-01", "--set", "score.max_unknown=1").code == 0
