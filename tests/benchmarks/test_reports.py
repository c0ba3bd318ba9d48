"""The benchmarks' own code runs, on small sizes."""

import json
from pathlib import Path

import pytest

from tests.benchmarks import top_items, training
from tests.benchmarks.report import Table, write_report
from tests.support.ranks import needs_horovod


@needs_horovod
@pytest.mark.parametrize("ranks", [1, 2])
def test_a_step_and_its_parts_are_measured(tmp_path: Path, ranks: int) -> None:
    sizes = {"model__embedding_dim": 4, "model__attention_dim": 4, "train__batch_size": 64}
    seconds_by_part = training.measure_steps(tmp_path, ranks, 3, 1000, **sizes)
    assert set(seconds_by_part) == {"model", "exchange", "optimiser", "step"}
    assert all(seconds > 0 for seconds in seconds_by_part.values())


def test_candidates_are_compared_with_every_pair(monkeypatch: pytest.MonkeyPatch) -> None:
    assert all(rate > 0 for rate in top_items.measure("afm", 3).values())
    monkeypatch.setattr(top_items, "brute_force", lambda model, rows, items: 1 + 0 * rows[:, :10])
    with pytest.raises(SystemExit, match="3 of 3 users got other items"):
        top_items.measure("fm", 3)


def test_a_report_is_markdown_and_json(tmp_path: Path) -> None:
    write_report(tmp_path, "made", "Made up", [Table("One", ["", "rows/s"], [["ours", "1"]])])
    text = (tmp_path / "made.md").read_text()
    assert "# Made up" in text
    assert "| ours | 1 |" in text
    assert json.loads((tmp_path / "made.json").read_text())["tables"][0]["rows"] == [["ours", "1"]]
