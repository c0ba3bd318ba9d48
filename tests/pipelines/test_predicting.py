"""Files of rows that are scored without Spark."""

from pathlib import Path

from pipelines.predicting import _json


def test_text_of_json_that_looks_like_a_time_stays_text(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    rows = ['{"day": "2026-01-02", "n": 7, "tags": ["2026-01-02"]}', '{"day": "2026-01-03", "n": 8, "tags": []}']
    path.write_text("\n".join(rows))
    assert _json(path).to_pydict() == {"day": ["2026-01-02", "2026-01-03"], "n": [7, 8], "tags": [["2026-01-02"], []]}
