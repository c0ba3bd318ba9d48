"""A month of nights, scored by runs that are killed at random, and one of them with a shift in one field."""

import os
import random
import signal
import subprocess
from datetime import date, timedelta
from pathlib import Path

import pytest

from afm_core.settings import load_settings
from pipelines.scoring.monitoring.ledger import LEDGER, read_ledger
from pipelines.simulation.simulate import Simulation, simulate
from tests.support.config import write_config
from tests.support.nights import Reader, published_scores
from tests.support.processes import finish, start_job

TRAINED, NIGHTS, EVENTS = 10, 30, 1500
KILLS = 5
FIRST = date(2026, 3, 1)
SHIFTED = FIRST + timedelta(days=TRAINED + 17)

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def month(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Settings with a bundle trained on ten days, and thirty nights; in one of them half the places are another one."""
    folder = tmp_path_factory.mktemp("month")
    simulate(Simulation(folder / "logs", FIRST, TRAINED + NIGHTS, EVENTS, users=200, apps=80, seed=3))
    file = folder / "logs" / f"dt={SHIFTED}" / "part-00000.csv"
    header, *lines = file.read_text().splitlines()
    at, width = header.split(",").index("place"), header.count(",")
    for number in range(0, len(lines), 2):
        cells = lines[number].split(",")
        if len(cells) == width + 1:
            lines[number] = ",".join([*cells[:at], "outdoors", *cells[at + 1 :]])
    file.write_text("\n".join([header, *lines]) + "\n")
    trained = {"keys": ["event_id"], "last_date": str(FIRST + timedelta(days=TRAINED - 1)), "max_rejected": 0.02}
    looked_up = {"embedding_dim": 24, "attention_dim": 24}  # more of its attention with every night that a worker lives
    score = {"drift": {"ignore": ["weekday"]}}
    config = write_config(folder, folder / "logs", logs=trained, model=looked_up, score=score)
    for name in ("prepare", "train"):
        finish(start_job(name, config))
    return config


@pytest.fixture(scope="module")
def undisturbed(month: Path) -> Path:
    finish(start_job("score", month, "--missing", str(NIGHTS)))
    return load_settings(month).nightly.path


def test_all_nights_end_right_whatever_was_killed(month: Path, undisturbed: Path, tmp_path: Path) -> None:
    scores = tmp_path / "scores"
    arguments = ("--missing", str(NIGHTS), "--set", f"score.path={scores}")
    dice, reader, killed = random.Random(7), Reader(scores), 0
    reader.start()
    for _ in range(KILLS):
        process = start_job("score", month, *arguments)
        try:
            process.communicate(timeout=dice.uniform(10, 30))
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            killed += 1
    last = start_job("score", month, *arguments)
    out, _ = last.communicate()
    reader.stop()
    assert last.returncode in (0, 3), out
    assert killed >= 2, "the runs ended before anybody killed them"
    assert published_scores(scores) == published_scores(undisturbed)
    assert len(published_scores(scores)) == NIGHTS
    published = [entry.night for entry in read_ledger(scores) if entry.outcome == "published"]
    assert len(published) == len(set(published)), "a published night was scored again"
    assert len(published) >= NIGHTS - killed, "only a run that died between publishing and its row leaves none"


def test_a_shift_is_seen_on_its_night_in_its_field_only(undisturbed: Path) -> None:
    entries = {entry.night: entry for entry in read_ledger(undisturbed)}
    assert len(entries) == NIGHTS
    assert entries[SHIFTED].figures.drifted == ["place"]
    alarms = {
        night: entry.figures.drifted for night, entry in entries.items() if entry.figures.drifted and night != SHIFTED
    }
    assert len(alarms) <= 1, alarms
    assert (undisturbed / LEDGER / "trend.png").stat().st_size > 10_000
