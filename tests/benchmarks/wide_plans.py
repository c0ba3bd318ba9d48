"""What preparation and a night cost in logs of many fields, and of many columns with and without rejected rows.

`python -m tests.benchmarks.wide_plans` prepares, trains (an FM of k = 8; 300 fields of an AFM would be 44,850 pairs)
and scores in one process on two cores with a heap of 2 GiB, each case as often as --repeat says, in turn; the least
figures count, because a machine that others share only ever adds to them. Writes wide_plans.json and .md below --out.
"""

import argparse
import json
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path

import numpy as np
import pyspark
import yaml
from pyspark.sql import SparkSession

from afm_core.settings import load_settings
from jobs import train
from pipelines.preparation.prepare import prepare
from pipelines.scoring.night import NightScoring
from pipelines.scoring.run import run_nights
from pipelines.spark import spark_session
from tests.benchmarks.spark_costs import cpu_seconds

DAY, NIGHT = date(2026, 1, 1), date(2026, 1, 2)
REJECTED = 0.01
VALUES = 20


@dataclass(frozen=True)
class Case:
    """Logs of CSV, of which the first columns are fields."""

    columns: int
    fields: int
    rows: int
    rejected: float = 0.0

    @property
    def name(self) -> str:
        rejects = f", {self.rejected:.0%} rejected" if self.rejected else ""
        return f"{self.fields} fields of {self.columns:,} columns, {self.rows:,} rows{rejects}"


@dataclass(frozen=True)
class Figures:
    """The least of several runs."""

    case: Case
    check_seconds: float
    """Of the preparation: reading and checking the logs."""
    prepare_seconds: float
    prepare_cpu_seconds: float
    """Of all processes; a busy machine changes these less."""
    night_seconds: float
    night_cpu_seconds: float


BY_FIELDS = [Case(fields, fields, 10_000) for fields in (10, 100, 300)] + [Case(300, 300, 100_000)]
BY_COLUMNS = [Case(columns, 5, 20_000, rejected) for columns in (10, 100, 1_000) for rejected in (0.0, REJECTED)]

ALL = [*BY_COLUMNS, *BY_FIELDS]


def write_logs(case: Case, folder: Path) -> Path:
    """Write the logs of two days and their settings, and return the path of these."""
    names = [f"f{position}" for position in range(case.columns)]
    for day in (DAY, NIGHT):
        random = np.random.default_rng(day.toordinal())
        night = folder / "logs" / f"dt={day}"
        night.mkdir(parents=True)
        values = random.integers(VALUES, size=(case.rows, case.columns)).astype(str)
        values[:, 0] = random.integers(case.rows // 20, size=case.rows)
        values[random.random(case.rows) < case.rejected, 0] = ""  # no negatives can be drawn without a user
        lines = "\n".join(map(",".join, values))
        (night / "logs.csv").write_text(f"{','.join(names)}\n{lines}\n", encoding="utf-8")
    tree = {
        "name": "wide",
        "logs": {"path": str(folder / "logs"), "max_rejected": 0.05, "last_date": str(DAY)},
        "fields": names[: case.fields],
        "negatives": {"per_positive": 1, "replace": "f1", "never_seen_by": "f0"},
        "dataset": {"path": str(folder / "dataset")},
        "model": {"name": "fm", "embedding_dim": 8},
        "train": {"batch_size": 4096, "epochs": 1, "warm_start": None},
        "run": {"path": str(folder / "run")},
        "score": {"logs": str(folder / "logs"), "path": str(folder / "scores")},
    }
    settings = folder / "settings.yaml"
    settings.write_text(yaml.safe_dump(tree), encoding="utf-8")
    return settings


def measure(spark: SparkSession, case: Case, folder: Path) -> Figures:
    """Prepare, train and score once."""
    shutil.rmtree(folder, ignore_errors=True)
    path = write_logs(case, folder)
    settings = load_settings(path)
    manifest, seconds, cpu = timed(lambda: prepare(spark, settings))
    train.main(["--config", str(path)])
    (outcome,), night_seconds, night_cpu = timed(lambda: run_nights(spark, settings, [NIGHT], NightScoring(settings)))
    if outcome.error or outcome.manifest is None:
        raise SystemExit(f"error: {case.name}: {outcome.error}")
    has_rejects = bool(manifest.rejected), bool(outcome.manifest.rejected)
    assert has_rejects == (case.rejected > 0,) * 2, f"{case.name}: rejected {manifest.rejected}"
    return Figures(case, manifest.seconds["read and check the logs"], seconds, cpu, night_seconds, night_cpu)


def timed(run: Callable[[], object]) -> tuple:
    """What `run` returns, its seconds, and those of processors of this process and all that it has started."""
    start, before = time.monotonic(), cpu_seconds(os.getpid())
    result = run()
    return result, time.monotonic() - start, cpu_seconds(os.getpid()) - before


def least(runs: list[Figures]) -> Figures:
    """The least of each figure."""
    names = [name for name in Figures.__dataclass_fields__ if name != "case"]
    return Figures(runs[0].case, **{name: min(getattr(run, name) for run in runs) for name in names})


def markdown(machine: str, results: list[Figures]) -> str:
    header = ["", "check, s", "preparation, s", "CPU s", "night, s", "CPU s"]
    parts = [f"# Wide logs\n\n{machine}\n", _row(header), _row(["---", *["---:"] * (len(header) - 1)])]
    parts += [_row([figures.case.name, *[f"{number:,.1f}" for number in _numbers(figures)]]) for figures in results]
    parts.append(f"\nWith {REJECTED:.0%} of the rows rejected, as a multiple of none:\n")
    parts += [_row(header), _row(["---", *["---:"] * (len(header) - 1)])]
    clean = {figures.case.columns: figures for figures in results if figures.case in BY_COLUMNS[::2]}
    for figures in results:
        if figures.case.rejected and figures.case.columns in clean:
            pairs = zip(_numbers(figures), _numbers(clean[figures.case.columns]), strict=True)
            parts.append(_row([f"{figures.case.columns:,} columns", *[f"{one / other:.2f}" for one, other in pairs]]))
    return "\n".join(parts) + "\n"


def _numbers(figures: Figures) -> list[float]:
    return list(asdict(figures).values())[1:]


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("runs/bench"), help="(default: runs/bench)")
    parser.add_argument("--repeat", type=int, default=2, help="(default: 2)")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    work = (options.out / "wide_plans_work").resolve()
    cpu = Path("/proc/cpuinfo").read_text().split("model name\t: ")[1].split("\n")[0]
    machine = f"{cpu}, local[2], heap 2g; Spark {pyspark.__version__}; {time.strftime('%Y-%m-%d')}"
    runs: dict[Case, list[Figures]] = {}
    with spark_session("wide plans", work / "spark.log", "local[2]") as spark:
        measure(spark, BY_COLUMNS[0], work / "logs")
        for _ in range(options.repeat):
            for case in reversed(ALL):  # the hardest first
                runs.setdefault(case, []).append(measure(spark, case, work / "logs"))
                results = [least(runs[done]) for done in ALL if done in runs]
                done = min(map(len, runs.values()))
                counted = "one run" if done == 1 else f"the least of {done} runs"
                described = f"{machine}; {counted} of each case in one process, after one that is not counted."
                content = {"machine": described, "results": [asdict(figures) for figures in results]}
                (options.out / "wide_plans.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
                (options.out / "wide_plans.md").write_text(markdown(described, results), encoding="utf-8")
    shutil.rmtree(work)
    print((options.out / "wide_plans.md").read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
