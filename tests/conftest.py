"""What the tests share: settings of a small data set, and jobs run as a person would run them."""

import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pytest
import torch
import yaml
from pyspark.sql import SparkSession

import jobs.compare
import jobs.evaluate
import jobs.export
import jobs.prepare
import jobs.promote
import jobs.score
import jobs.search
import jobs.train
from afm_core.settings import Settings, load_settings
from pipelines.simulation.simulate import Simulation, simulate
from pipelines.spark import spark_session

if not torch.cuda.is_available():
    os.environ.setdefault("TRITON_INTERPRET", "1")  # before anything imports triton, which reads it then

# The JVMs of the tests live for seconds: the second compiler costs them more than it brings.
os.environ.setdefault("JDK_JAVA_OPTIONS", "-XX:TieredStopAtLevel=1")

DAYS, EVENTS = 4, 400
NIGHT = "2026-01-04"
FIELDS = ["user", "app", "daypart", "weekday", "place"]
MAINS = {
    "prepare": jobs.prepare,
    "promote": jobs.promote,
    "train": jobs.train,
    "evaluate": jobs.evaluate,
    "export": jobs.export,
    "score": jobs.score,
    "compare": jobs.compare,
    "search": jobs.search,
}


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str

    @property
    def errors(self) -> list[str]:
        return [line for line in self.err.splitlines() if line.startswith("error: ")]


RunJob = Callable[..., Outcome]


def write_config(folder: Path, source: Path, **overrides: object) -> Path:
    """A settings file for simulated logs, everything else below `folder`; overrides are merged a section at a time."""
    tree = {
        "name": "small",
        "logs": {"path": str(source), "keys": ["event_id"], "max_rejected": 0.01, "last_date": "2026-01-03"},
        "fields": [{"name": "user", "min_count": 2}, {"name": "app", "min_count": 2}, *FIELDS[2:]],
        "negatives": {"per_positive": 2, "replace": "app", "never_seen_by": "user"},
        "dataset": {"path": str(folder / "dataset"), "rows_per_file": 256},
        "model": {"name": "afm", "embedding_dim": 8, "attention_dim": 8, "pooled_dropout": 0.1, "attention_l2": 0.001},
        "train": {"warm_start": {"model": "fm", "epochs": 2}, "batch_size": 64, "epochs": 2},
        "run": {"path": str(folder / "run")},
        "score": {"logs": str(source), "path": str(folder / "scores")},
    }
    for section, values in overrides.items():
        tree[section] = {**tree.get(section, {}), **values} if isinstance(values, dict) else values
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "settings.yaml"
    path.write_text(yaml.safe_dump(tree), encoding="utf-8")
    return path


def snapshot(folder: Path) -> dict[str, str]:
    """Every file below `folder` and its digest; two equal snapshots mean that nothing was touched."""
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    return {str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


@pytest.fixture(scope="session")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four days of simulated logs: three to learn from, the last to score."""
    out = tmp_path_factory.mktemp("logs")
    simulate(Simulation(out, date(2026, 1, 1), DAYS, EVENTS, users=60, apps=40, seed=1))
    return out


@pytest.fixture
def run_job(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> RunJob:
    """Run a job's main as its command line would, and return its exit code and what it printed."""

    def run(name: str, config: Path, *arguments: str) -> Outcome:
        monkeypatch.setattr("sys.argv", [f"jobs/{name}.py", "--config", str(config), *arguments])
        capfd.readouterr()
        try:
            MAINS[name].main()
            code = 0
        except SystemExit as exit_:
            code = int(exit_.code or 0)
        printed = capfd.readouterr()
        return Outcome(code, printed.out, printed.err)

    return run


@dataclass(frozen=True)
class Small:
    """A small data set that went down the whole road once."""

    folder: Path
    config: Path
    settings: Settings


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory, logs: Path) -> Small:
    """Prepared, trained and scored. Tests read it; those that write make their own."""
    folder = tmp_path_factory.mktemp("small")
    config = write_config(folder, logs)
    with pytest.MonkeyPatch.context() as patch:
        for name, *arguments in (("prepare",), ("train",), ("evaluate",), ("score", "--date", NIGHT)):
            patch.setattr("sys.argv", [f"jobs/{name}.py", "--config", str(config), *arguments])
            MAINS[name].main()
    return Small(folder, config, load_settings(config))


@pytest.fixture
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    """A real Spark on two threads."""
    with spark_session("test", tmp_path_factory.getbasetemp() / "spark.log", "local[2]") as session:
        yield session


@pytest.fixture(autouse=True)
def _unranked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests run alone even when something started them under horovodrun."""
    for name in [name for name in os.environ if name.startswith("HOROVOD_")]:
        monkeypatch.delenv(name)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="run the tests that take minutes, too")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--long"):
        return
    for item in items:
        if item.get_closest_marker("long"):
            item.add_marker(pytest.mark.skip(reason="takes minutes; run with --long"))
