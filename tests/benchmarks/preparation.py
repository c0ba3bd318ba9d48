"""What preparation costs, and how that grows with the rows: the whole job, in a process of its own, on simulated logs.

`python -m tests.benchmarks.preparation --rows 100000 1000000 10000000` runs jobs/prepare.py by spark-submit on two
cores with a heap of 2 GiB, the Spark settings otherwise those of a job that runs alone. Writes preparation.json and .md
below --out after each size. Logs, dataset and Spark's files of a size are deleted before the next, unless --keep.
"""

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import pyspark
import yaml

from pipelines.console import columns, screen
from pipelines.dataset import MANIFEST_FILE
from pipelines.spark import _LOCAL_DEFAULTS
from tests.benchmarks.spark_costs import MIB, SparkCosts, Watch, read_event_log, size_of
from tests.benchmarks.wide_logs import FIELDS, RARE, write_wide_logs
from tests.support.files import ROOT

LOG4J = ROOT / "pipelines" / "log4j2.properties"
CORES, HEAP = 2, "2g"
BASE = 1_000_000
LARGEST = 5


@dataclass(frozen=True)
class Figures:
    """One run of the job."""

    rows: int
    instances: int
    features: int
    seconds: float
    """From the start of the process to its end."""
    jvm_cpu_seconds: float
    """A busy machine changes these less than `seconds`."""
    python_cpu_seconds: float
    stages: dict[str, float]
    """Seconds of each, as in the manifest."""
    input_bytes: int
    dataset_bytes: int
    jvm_bytes: int
    """Peak resident memory."""
    python_bytes: int
    """Peak of the sum over the workers."""
    local_bytes: int
    """Peak of shuffle, spill and cache on disk."""
    spark: SparkCosts

    @property
    def microseconds_a_row(self) -> float:
        return self.seconds / self.rows * 1e6


def measure(rows: int, folder: Path, seed: int, conf: list[str]) -> Figures:
    """Simulate, prepare and measure `rows` logs below `folder`, which is replaced."""
    shutil.rmtree(folder, ignore_errors=True)
    input_bytes = write_wide_logs(folder / "logs", rows, seed)
    for name in ("local", "events"):
        (folder / name).mkdir()
    command = _command(_write_settings(folder, seed), folder, conf)
    start = time.monotonic()
    with (folder / "job.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=_environment(), cwd=ROOT)
        watch = Watch(process.pid, folder / "local")
        try:
            code = process.wait()
            seconds = time.monotonic() - start
        finally:
            process.terminate()
            watch.stop()
    if code:
        raise SystemExit(f"error: preparing {rows:,} rows ended with {code}\n{_errors(folder / 'job.log')}")
    manifest = json.loads((folder / "dataset" / MANIFEST_FILE).read_text(encoding="utf-8"))
    return Figures(
        rows=rows,
        instances=manifest["instances"],
        features=manifest["features"],
        seconds=seconds,
        jvm_cpu_seconds=watch.jvm_cpu_seconds,
        python_cpu_seconds=watch.python_cpu_seconds,
        stages=manifest["seconds"],
        input_bytes=input_bytes,
        dataset_bytes=size_of(folder / "dataset"),
        jvm_bytes=watch.jvm_bytes,
        python_bytes=watch.python_bytes,
        local_bytes=watch.local_bytes,
        spark=read_event_log(next((folder / "events").glob("local-*"))),
    )


def _write_settings(folder: Path, seed: int) -> Path:
    tree = {
        "name": "wide",
        "seed": seed,
        "logs": {"path": str(folder / "logs")},
        "fields": [{"name": name, "min_count": 2} if name in RARE else name for name in FIELDS],
        "negatives": {"per_positive": 2, "replace": "item", "never_seen_by": "user"},
        "dataset": {"path": str(folder / "dataset"), "rows_per_file": 131_072},
        "run": {"path": str(folder / "run")},
        "score": {"logs": str(folder / "logs"), "path": str(folder / "scores")},
    }
    path = folder / "settings.yaml"
    path.write_text(yaml.safe_dump(tree, sort_keys=False), encoding="utf-8")
    return path


def _command(settings: Path, folder: Path, conf: list[str]) -> list[str]:
    # spark-submit, not python: only what starts the JVM can limit its heap and have its metrics polled.
    observed = {
        "spark.local.dir": str(folder / "local"),
        "spark.eventLog.enabled": "true",
        "spark.eventLog.dir": (folder / "events").as_uri(),
        "spark.eventLog.rolling.enabled": "false",
        "spark.eventLog.compress": "false",
        "spark.eventLog.logStageExecutorMetrics": "true",
        "spark.executor.metrics.pollingInterval": "500",
        # A JVM without memory for its own threads would hang for ever.
        "spark.driver.extraJavaOptions": f"-XX:+ExitOnOutOfMemoryError -Dlog4j2.configurationFile={LOG4J.as_uri()}",
    }
    alone = {**_LOCAL_DEFAULTS, "spark.driver.memory": HEAP}
    pairs = [*[f"{key}={value}" for key, value in {**alone, **observed}.items()], *conf]
    submit = [str(Path(pyspark.__file__).parent / "bin" / "spark-submit"), "--master", f"local[{CORES}]"]
    submit += [part for pair in pairs for part in ("--conf", pair)]
    return [*submit, "jobs/prepare.py", "--config", str(settings)]


def _environment() -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("SPARK_", "PYSPARK_"))}
    return {**kept, "PYTHONPATH": str(ROOT), "PYSPARK_PYTHON": sys.executable}


def _errors(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return "\n".join([line for line in lines if line.startswith("error: ")] or lines[-20:])


def table(results: list[Figures]) -> tuple[list[str], list[list[str]]]:
    """Header and rows: a column for each size."""
    base = next((figures.microseconds_a_row for figures in results if figures.rows == BASE), None)
    stages = list(results[0].stages)
    names = [
        "instances",
        "features",
        "seconds",
        "rows/s",
        "µs a row",
        f"x that at {BASE:,}",
        "CPU µs a row, JVM",
        "CPU µs a row, Python",
    ]
    names += [f"seconds: {name}" for name in stages] + ["seconds: start, stop and the rest"]
    names += ["peak heap, MiB", "peak JVM, resident, MiB", "peak Python workers, resident, MiB"]
    names += ["garbage collection, s of tasks", "shuffle written, MiB", "spilled, MiB", "peak local disk, MiB"]
    names += ["input, MiB", "dataset, MiB"]
    return ["rows", *[f"{figures.rows:,}" for figures in results]], [
        list(line) for line in zip(names, *[_column(figures, base) for figures in results], strict=True)
    ]


def _column(figures: Figures, base: float | None) -> list[str]:
    spark = figures.spark
    rest = figures.seconds - sum(figures.stages.values())
    sizes = [spark.heap_bytes, figures.jvm_bytes, figures.python_bytes]
    moved = [spark.shuffle_bytes, spark.spilled_bytes, figures.local_bytes, figures.input_bytes, figures.dataset_bytes]
    return [
        f"{figures.instances:,}",
        f"{figures.features:,}",
        f"{figures.seconds:,.1f}",
        f"{figures.rows / figures.seconds:,.0f}",
        f"{figures.microseconds_a_row:,.1f}",
        f"{figures.microseconds_a_row / base:.2f}" if base else "",
        *[f"{cpu / figures.rows * 1e6:,.1f}" for cpu in (figures.jvm_cpu_seconds, figures.python_cpu_seconds)],
        *[f"{seconds:,.1f}" for seconds in [*figures.stages.values(), rest]],
        *[f"{size / MIB:,.0f}" for size in sizes],
        f"{spark.gc_seconds:,.1f}",
        *[f"{size / MIB:,.0f}" for size in moved],
    ]


def largest_stages(figures: Figures) -> tuple[list[str], list[list[str]]]:
    """Header and rows: the Spark stages that take most task time."""
    return ["Spark stage", "tasks", "task s", "JVM CPU s", "longest s", "shuffle MiB", "spilled MiB"], [
        [
            f"{stage.id}: {stage.name} ({stage.does})",
            str(stage.tasks),
            *[f"{seconds:,.1f}" for seconds in (stage.seconds, stage.jvm_cpu_seconds, stage.longest_seconds)],
            *[f"{size / MIB:,.0f}" for size in (stage.shuffle_bytes, stage.spilled_bytes)],
        ]
        for stage in figures.spark.stages[:LARGEST]
    ]


def markdown(machine: str, results: list[Figures]) -> str:
    parts = [f"# Preparation\n\n{machine}\n", _markdown_table(*table(results))]
    for figures in results:
        parts += [f"\n## Largest Spark stages, {figures.rows:,} rows\n", _markdown_table(*largest_stages(figures))]
    return "\n".join(parts) + "\n"


def _markdown_table(header: list[str], rows: list[list[str]]) -> str:
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def describe_machine() -> str:
    cpu = Path("/proc/cpuinfo").read_text().split("model name\t: ")[1].split("\n")[0]
    return (
        f"{cpu}, local[{CORES}], heap {HEAP}; Spark {pyspark.__version__}, Python {platform.python_version()}; "
        f"{time.strftime('%Y-%m-%d')}; one run a size, {len(FIELDS)} fields, 2 negatives a row."
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, BASE], help="(default: 100000 1000000)")
    parser.add_argument("--out", type=Path, default=Path("runs/bench"), help="(default: runs/bench)")
    parser.add_argument("--work", type=Path, help="for logs, dataset and Spark's files (default: below --out)")
    parser.add_argument("--keep", action="store_true", help="leave them there")
    parser.add_argument("--seed", type=int, default=1, help="of logs and job (default: 1)")
    parser.add_argument("--conf", action="append", default=[], metavar="KEY=VALUE", help="a Spark setting to try")
    options = parser.parse_args()
    machine = " ".join([describe_machine(), *options.conf])
    work = (options.work or options.out / "preparation_work").resolve()
    options.out.mkdir(parents=True, exist_ok=True)
    results: list[Figures] = []
    for rows in options.rows:
        folder = work / f"rows_{rows}"
        results.append(measure(rows, folder, options.seed, options.conf))
        if not options.keep:
            shutil.rmtree(folder)
        screen.print(columns(f"largest Spark stages, {rows:,} rows", *largest_stages(results[-1])))
        content = {"machine": machine, "results": [asdict(figures) for figures in results]}
        (options.out / "preparation.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        (options.out / "preparation.md").write_text(markdown(machine, results), encoding="utf-8")
        screen.print(columns("preparation", *table(results)))


if __name__ == "__main__":
    main()
