"""The page of nights says which are in order, which are not, and why."""

from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from afm_core.settings.score import DriftSettings
from pipelines.scoring.monitoring.ledger import LedgerEntry, NightFigures
from pipelines.scoring.monitoring.ledger_page import write_page
from tests.support.pages import Page

USUAL = NightFigures(
    5000, 19, 4981, -0.31, {"user": 0.004, "place": 0.01}, {"user": 0.02, "place": 0.01, "score": 0.03}, []
)
SHIFTED = NightFigures(5000, 0, 5000, 0.2, {"user": 0.4}, {"user": 0.02, "place": 0.61, "score": 0.2}, ["place"])


def entry(day: int, outcome: str, figures: NightFigures | None = None, reason: str | None = None) -> LedgerEntry:
    started = datetime(2026, 1, day, 3, tzinfo=UTC)
    return LedgerEntry(
        started, date(2026, 1, day), outcome, reason, "0123456789abcdef", figures or NightFigures(), 12.5
    )


def written(folder: Path, *rows: LedgerEntry) -> tuple[str, Page]:
    path = write_page(folder, rows, DriftSettings(warn=0.25, ignore=("score",)))
    assert path == folder / "_ledger" / "index.html"
    text = Path(str(path)).read_text(encoding="utf-8")
    return text, Page(text)


@pytest.fixture(autouse=True)
def _ledger(tmp_path: Path) -> None:
    (tmp_path / "_ledger").mkdir()


def test_each_night_has_a_line_with_its_state_in_words(tmp_path: Path) -> None:
    failed = entry(4, "failed", reason="logs/dt=2026-01-04: <b>no</b> column user\x1b[31m")
    rows = [entry(1, "published", USUAL), entry(2, "published", SHIFTED), entry(3, "empty"), failed]
    text, page = written(tmp_path, *rows)
    nights = {row[0]: row[1:] for row in page.tables["Nights, the last one first"]}
    assert list(nights) == ["night", "2026-01-04", "2026-01-03", "2026-01-02", "2026-01-01"]
    assert nights["2026-01-01"] == ["published", "5,000", "19", "4,981", "-0.3100", "place 0.010", "user 0.020", "12.5"]
    assert nights["2026-01-02"][0] == "drift of place 0.61"
    assert nights["2026-01-03"][0] == "no rows"
    assert nights["2026-01-04"][0] == "failed: logs/dt=2026-01-04: <b>no</b> column user\\x1b[31m"
    assert "<b>" not in text
    assert "\x1b" not in text
    assert "The last night, 2026-01-04, is failed: " in text
    assert page.loads == []
    assert text.count('class="good"') == 1
    assert text.count('class="doubtful"') == 2
    assert text.count('class="bad"') == 1
    for night in list(nights)[1:]:
        assert f'href="#{night}"' in text
        assert f'id="{night}"' in text


def test_a_failed_run_after_a_published_one_says_that_it_stays(tmp_path: Path) -> None:
    _, page = written(tmp_path, entry(1, "published", USUAL), entry(1, "refused", reason="mean score 0.9"))
    (night,) = page.tables["Nights, the last one first"][1:]
    assert night[1] == "refused: mean score 0.9; what an earlier run has published stays"
    assert [run[1] for run in page.tables["Runs of 2026-01-01"][1:]] == ["published", "refused"]


def test_an_empty_ledger_has_a_page(tmp_path: Path) -> None:
    _, page = written(tmp_path)
    assert len(page.tables["Nights, the last one first"]) == 1
