"""Logs written into one folder per day: the rows stay what they were."""

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from pipelines.dataset import Dataset
from tests.support.config import write_minimal_config
from tests.support.decoding import assert_same_dataset
from tests.support.files import snapshot
from tests.support.jobs import RunJob

FIELDS = ["user", {"name": "item", "column": "item.id"}, {"name": "tags", "kind": "tags", "length": 3}]
LINES = [
    f'u{row % 7},{"" if row == 8 else f"i{row % 11}"},"[""a"", ""t{row % 3}""]",{14 + row % 3}/02/2026 1{row % 10}:30,x'
    for row in range(60)
]
BROKEN = ["u1,i1,a|b,14/02/2026 10:00,x,one too many", "u1,i1,,yesterday,x", "u1,i1,,\\N,x"]


def configured(folder: Path, **logs: Any) -> Path:
    negatives = {"replace": "item", "never_seen_by": "user"}
    path = {"path": str(folder / "raw" / "a.csv"), "max_rejected": 0.02}
    return write_minimal_config(folder, folder / "raw", FIELDS, logs={**path, **logs}, negatives=negatives)


def write(folder: Path, lines: list[str]) -> Path:
    (folder / "raw").mkdir(exist_ok=True)
    (folder / "raw" / "a.csv").write_text("\n".join(["user,item.id,tags,shown at,unused", *lines]) + "\n")
    return folder


@pytest.fixture
def arguments(tmp_path: Path) -> list[str]:
    return ["--by", "shown at", "--format", "dd/MM/yyyy HH:mm", "--out", str(tmp_path / "days")]


def test_the_dataset_stays_the_same(tmp_path: Path, run_job: RunJob, arguments: list[str]) -> None:
    config = configured(write(tmp_path, LINES))
    assert run_job("prepare", config).code == 0
    outcome = run_job("partition", config, *arguments)
    assert outcome.code == 0, outcome.err
    days = tmp_path / "days"
    assert sorted(path.name for path in days.glob("dt=*")) == ["dt=2026-02-14", "dt=2026-02-15", "dt=2026-02-16"]
    assert {len(pq.read_table(day)) for day in days.glob("dt=*")} == {20}
    by_day = [
        "--set",
        f"logs.path={days}",
        "--set",
        "logs.format=parquet",
        "--set",
        f"dataset.path={tmp_path / 'again'}",
    ]
    outcome = run_job("prepare", config, *by_day)
    assert outcome.code == 0, outcome.err
    assert_same_dataset(Dataset.open(tmp_path / "again"), Dataset.open(tmp_path / "dataset"))


def test_rows_without_a_day_are_kept_with_the_reason(tmp_path: Path, run_job: RunJob, arguments: list[str]) -> None:
    config = configured(write(tmp_path, [*LINES, *BROKEN]))
    outcome = run_job("partition", config, *arguments)
    assert outcome.code == 2
    assert (
        f"{tmp_path / 'raw' / 'a.csv'}: 3 of 63 rows rejected (4.76%; malformed 1, missing 1, not_a_timestamp 1)"
        in outcome.err
    )
    assert not (tmp_path / "days").exists()
    outcome = run_job("partition", config, *arguments, "--set", "logs.max_rejected=0.1")
    assert outcome.code == 0, outcome.err
    report = json.loads((tmp_path / "days" / "_report.json").read_text())
    assert report["rejected"] == {"malformed": 1, "missing": 1, "not_a_timestamp": 1}
    rejects = pq.read_table(tmp_path / "days" / "_rejects").to_pylist()
    assert sorted((row["rule"], row["column"]) for row in rejects) == [
        ("malformed", None),
        ("missing", "shown at"),
        ("not_a_timestamp", "shown at"),
    ]
    assert BROKEN[0] in [row["raw"] for row in rejects]


def test_a_failure_leaves_what_was_there(tmp_path: Path, run_job: RunJob, arguments: list[str]) -> None:
    config = configured(write(tmp_path, LINES))
    assert run_job("partition", config, *arguments).code == 0
    before = snapshot(tmp_path / "days")
    write(tmp_path, BROKEN)
    assert run_job("partition", config, *arguments).code == 2
    assert snapshot(tmp_path / "days") == before


def test_it_does_not_write_into_the_logs(tmp_path: Path, run_job: RunJob, arguments: list[str]) -> None:
    config, raw = configured(write(tmp_path, LINES), path=str(tmp_path / "raw")), tmp_path / "raw"
    outcome = run_job("partition", config, *arguments[:-1], str(raw / "days"))
    assert outcome.code == 2
    assert f"--out: {raw / 'days'} lies inside logs.path ({raw})" in outcome.err
    outcome = run_job("partition", config, "--by", "when", *arguments[2:])
    assert (outcome.code, "column when missing" in outcome.err) == (2, True)


def test_what_cannot_be_partitioned_is_one_line(tmp_path: Path, run_job: RunJob, arguments: list[str]) -> None:
    config = configured(write(tmp_path, LINES))
    outcome = run_job("partition", config, "--by", "dt", *arguments[2:])
    assert (outcome.code, "a column dt, which is the name of the folders of days" in outcome.err) == (2, True)
    outcome = run_job("partition", config, *arguments[:2], "--format", "%d/%m/%Y", *arguments[4:])
    assert (outcome.code, "--format" in outcome.err) == (2, True)


def test_an_object_of_json_is_rejected_before_it_is_text(tmp_path: Path, run_job: RunJob, arguments: list[str]) -> None:
    raw = tmp_path / "raw"
    raw.mkdir()
    rows = [{"user": "u1", "item.id": f"i{row}", "tags": ["a"], "shown at": "14/02/2026 10:00"} for row in range(9)]
    rows.append(rows[0] | {"user": {"id": 1}})
    (raw / "a.json").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    config = configured(tmp_path, path=str(raw), format="json", max_rejected=0.2)
    outcome = run_job("partition", config, *arguments)
    assert outcome.code == 0, outcome.err
    assert json.loads((tmp_path / "days" / "_report.json").read_text()) == {
        "rows_in": 10,
        "rejected": {"not_a_value": 1},
        "days": {"2026-02-14": 9},
    }
    assert pq.read_table(tmp_path / "days" / "dt=2026-02-14")["tags"].to_pylist() == ['["a"]'] * 9
