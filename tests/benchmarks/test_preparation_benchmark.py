"""The benchmark of the preparation runs: simulated logs, the job in its own process, measurement and report."""

import json
from pathlib import Path

import pytest

from tests.benchmarks import preparation
from tests.benchmarks.wide_logs import FIELDS, write_wide_logs

ROWS = 20_000
MEASURED = (
    "instances",
    "features",
    "seconds",
    "jvm_cpu_seconds",
    "python_cpu_seconds",
    "input_bytes",
    "dataset_bytes",
    "jvm_bytes",
    "python_bytes",
    "local_bytes",
)


@pytest.mark.long
def test_a_small_size_is_measured_and_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out, work = tmp_path / "out", tmp_path / "work"
    # What starts costs more than these rows: fewer tasks, and the JVM's quick compiler only.
    settings = ("spark.sql.shuffle.partitions=2", "spark.driver.defaultJavaOptions=-XX:TieredStopAtLevel=1")
    options = ["--rows", str(ROWS), "--out", str(out), "--work", str(work), *[f"--conf={text}" for text in settings]]
    monkeypatch.setattr("sys.argv", ["preparation", *options])
    preparation.main()
    result = json.loads((out / "preparation.json").read_text())["results"][0]
    assert result["rows"] == ROWS
    assert all(result[name] > 0 for name in MEASURED)
    assert all(seconds > 0 for seconds in result["stages"].values())
    assert result["spark"]["heap_bytes"] > 0
    assert sum(stage["shuffle_bytes"] for stage in result["spark"]["stages"]) > 0
    assert "| rows | 20,000 |" in (out / "preparation.md").read_text()
    assert not list(work.iterdir()), "logs and dataset are deleted"


def test_a_failing_job_ends_the_benchmark_with_its_error(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"(?s)preparing 10 rows ended with.*error: "):
        preparation.measure(10, tmp_path / "work", 0, [])


def test_wide_logs_depend_on_the_seed_only(tmp_path: Path) -> None:
    contents = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        assert write_wide_logs(tmp_path / name, 300, seed) > 0
        contents.append((tmp_path / name / "part-00000.csv").read_text().splitlines())
    assert contents[0] == contents[1] != contents[2]
    header, *rows = contents[0]
    assert header.replace('"', "").split(",") == list(FIELDS)
    assert len(rows) == 300
