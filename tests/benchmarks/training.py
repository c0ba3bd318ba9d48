"""What surrounds the model in training: the feed, the exchange between ranks, and the size of the vocabulary.

`python -m tests.benchmarks.training` measures, in one run each: rows a second of our feed against Petastorm's own
BatchedDataLoader on the same files; the checksums of these files against an epoch; a training step of two ranks of one
thread each against one rank of one thread; and a step against the number of ids. Writes training.json and .md to --out.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import yaml
from petastorm import make_batch_reader
from petastorm.pytorch import BatchedDataLoader

from pipelines.dataset import Dataset
from pipelines.dataset_integrity import check_content
from pipelines.feeding.feed import Feed
from pipelines.feeding.prefetcher import Prefetcher
from pipelines.feeding.shard_plan import ShardPlan
from tests.benchmarks.report import Table, write_report
from tests.benchmarks.steps import PARTS
from tests.benchmarks.wide_logs import FIELDS, write_wide_logs
from tests.support.files import ROOT

BATCH = 4096
ROUNDS, VOCABULARY_ROUNDS = 5, 3
FEED_ROWS = 300_000
VOCABULARIES = (10_000, 1_000_000, 10_000_000)
PEER = "Petastorm: make_batch_reader and BatchedDataLoader"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    parser.add_argument("--rows", type=int, default=FEED_ROWS, help="logs behind the files of the feed")
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--vocabularies", type=int, nargs="+", default=VOCABULARIES)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        tables = [
            feed_table(Path(folder), arguments.rows),
            checksum_table(Path(folder)),
            scaling_table(Path(folder), arguments.steps),
            vocabulary_table(Path(folder), arguments.steps, arguments.vocabularies),
        ]
    write_report(arguments.out, "training", "What surrounds the model in training", tables)


def settings_for(folder: Path) -> Path:
    tree = {
        "name": "training",
        "logs": {"path": str(folder / "logs")},
        "fields": list(FIELDS[:10]),
        "negatives": {"per_positive": 2, "replace": "item", "never_seen_by": "user"},
        "dataset": {"path": str(folder / "dataset"), "rows_per_file": 65_536},
        "model": {"name": "afm", "embedding_dim": 64, "attention_dim": 64, "precision": "bfloat16"},
        "train": {"epochs": 2, "batch_size": 512, "warm_start": None},
        "run": {"path": str(folder / "run")},
        "score": {"logs": str(folder / "logs"), "path": str(folder / "scores")},
    }
    path = folder / "settings.yaml"
    path.write_text(yaml.safe_dump(tree, sort_keys=False), encoding="utf-8")
    return path


def job(name: str, *arguments: object) -> None:
    command = [sys.executable, str(ROOT / "jobs" / f"{name}.py"), *map(str, arguments)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env={**os.environ, "PYTHONPATH": str(ROOT)})


def feed_table(folder: Path, rows: int) -> Table:
    """Rows a second of a whole epoch of the training split; medians over rounds in turn."""
    write_wide_logs(folder / "logs", rows, 1)
    config = settings_for(folder)
    job("prepare", "--config", config)
    dataset = Dataset.open(folder / "dataset")
    manifest = dataset.manifest
    plan = ShardPlan(manifest.splits["train"].rows, manifest.rows_per_file, BATCH, 0, 1)
    kept = Feed(dataset, "train", plan, 1, in_memory=True)
    ways: dict[str, Callable[[], Iterator[object]]] = {
        PEER: lambda: iter(_petastorm(dataset)),
        "ours, rows as they stand": lambda: iter(Prefetcher(Feed(dataset, "train", plan, None).epoch(1))),
        "ours, permuted": lambda: iter(Prefetcher(Feed(dataset, "train", plan, 1).epoch(1))),
        "ours, permuted, in memory": lambda: iter(Prefetcher(kept.epoch(1))),
    }
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for name, way in ways.items():
            start = time.perf_counter()
            for _batch in way():
                pass
            rates[name].append(plan.rows / (time.perf_counter() - start))
    medians = {name: statistics.median(found) for name, found in rates.items()}
    lines = [[name, f"{rate:,.0f}", f"{rate / medians[PEER]:.2f}"] for name, rate in medians.items()]
    waits = [f"{epoch['feed_wait']:.1%}" for epoch in train(folder, "afm", 64)]
    lines.append([f"share of a training with k = t = 64 that waits: epoch 1 (from files), {waits[0]}", "", ""])
    lines.append([f"epoch 2 (in memory), {waits[1]}", "", ""])
    title = f"Feed: {plan.rows:,} rows of 10 fields in {plan.n_files} files"
    return Table(title, ["", "rows/s", "x Petastorm"], lines)


def checksum_table(folder: Path) -> Table:
    """What comparing the checksums of a dataset costs in the epoch that reads its files for the first time."""
    dataset = Dataset.open(folder / "dataset")
    rows = dataset.manifest.splits["train"].rows
    seconds = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        for file, checksum in zip(dataset.files("train"), dataset.checksums("train"), strict=True):
            check_content(file, checksum)
        seconds.append(time.perf_counter() - start)
    check = statistics.median(seconds)
    lines = [["comparing the checksums", f"{check:.3f}", f"{rows / check:,.0f}", ""]]
    for model, size in (("fm", 8), ("afm", 16), ("afm", 64)):
        rate = train(folder, model, size)[0]["rows_per_second"]
        lines.append(
            [f"epoch 1 of {model}, k = {size}", f"{rows / rate:.2f}", f"{rate:,.0f}", f"{check * rate / rows:.2%}"]
        )
    megabytes = sum(file.stat().st_size for file in dataset.files("train")) / 1e6
    return Table(f"Checksums: {rows:,} rows, {megabytes:.1f} MB", ["", "seconds", "rows/s", "checksums' share"], lines)


def train(folder: Path, model: str, size: int) -> list[dict[str, float]]:
    """Train for two epochs; what the history says of each."""
    shutil.rmtree(folder / "run", ignore_errors=True)
    sizes = [
        f"model.name={model}",
        f"model.embedding_dim={size}",
        *([f"model.attention_dim={size}"] * (model == "afm")),
    ]
    job("train", "--config", settings_for(folder), *[part for each in sizes for part in ("--set", each)])
    return [json.loads(line) for line in (folder / "run" / "history.jsonl").read_text().splitlines()]


def _petastorm(dataset: Dataset) -> Iterator[object]:
    urls = [file.absolute().as_uri() for file in dataset.files("train")]
    names = [*dataset.feature_map.id_columns, "label"]
    with make_batch_reader(
        urls, schema_fields=names, num_epochs=1, shuffle_row_groups=False, reader_pool_type="thread", workers_count=1
    ) as reader:
        yield from BatchedDataLoader(reader, batch_size=BATCH)


def measure_steps(folder: Path, ranks: int, steps: int, ids: int, **values: object) -> dict[str, float]:
    """Median seconds of a step and its parts on rank 0."""
    out = folder / "steps.json"
    script = [sys.executable, str(ROOT / "tests" / "benchmarks" / "steps.py"), "--config", str(settings_for(folder))]
    script += ["--ids", str(ids), "--steps", str(steps), "--out", str(out)]
    script += [part for key, value in values.items() for part in ("--set", f"{key.replace('__', '.')}={value}")]
    horovodrun = shutil.which("horovodrun", path=str(Path(sys.executable).parent))
    start = [str(horovodrun), "-np", str(ranks)] if ranks > 1 else []
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    subprocess.run([*start, *script], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)
    found: dict[str, float] = json.loads(out.read_text())
    return found


def scaling_table(folder: Path, steps: int) -> Table:
    """Two ranks of one thread each against one of one thread, the same rows a step over all of them."""
    lines = []
    for batch in (512, 4096):
        sizes = {"model__embedding_dim": 256, "model__attention_dim": 256, "train__batch_size": batch}
        one, two = (measure_steps(folder, ranks, max(8, steps * 512 // batch), 5400, **sizes) for ranks in (1, 2))
        shares = [f"{two[part] / two['step']:.0%}" for part in PARTS]
        speed = [f"{batch / found['step']:,.0f}" for found in (one, two)]
        lines.append([f"{batch:,}", *speed, f"{one['step'] / (2 * two['step']):.2f}", *shares])
    header = ["rows a step", "one rank, rows/s", "two, rows/s", "efficiency", *(f"two: {part}" for part in PARTS)]
    return Table("Two ranks: AFM, ten fields, k = t = 256, bfloat16, one thread a rank", header, lines)


def vocabulary_table(folder: Path, steps: int, vocabularies: tuple[int, ...]) -> Table:
    """A step of AFM against the number of ids, on one rank and on two: the least of medians of runs in turn, since what
    else the machine does is as great as the difference.
    """
    sizes = {"model__embedding_dim": 16, "model__attention_dim": 16, "train__batch_size": BATCH}
    lines = []
    for ranks in (1, 2):
        rounds = [
            [measure_steps(folder, ranks, steps, ids, **sizes)["step"] for ids in vocabularies]
            for _ in range(VOCABULARY_ROUNDS)
        ]
        fastest = [min(times) for times in zip(*rounds, strict=True)]
        lines.append([f"{ranks}", *(f"{1e3 * step:.1f} ms" for step in fastest), f"{fastest[-1] / fastest[0]:.2f}"])
    header = ["ranks", *(f"{ids:,} ids" for ids in vocabularies), "last / first"]
    return Table(f"A step against the vocabulary: AFM, ten fields, k = t = 16, {BATCH:,} rows", header, lines)


if __name__ == "__main__":
    main()
