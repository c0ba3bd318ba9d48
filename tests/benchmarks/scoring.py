"""Rows a second of a night's scoring, from the start of the job to its end, against the model alone and a plain UDF.

`python -m tests.benchmarks.scoring --rows 1000000 10000000`: a night of ten fields, AFM with k = t = --size, local[2].
The model alone is the bundle's model on encoded rows with two threads in this process, no Spark; the scorer alone is
the same with its tables made; the plain UDFs are those of plain_score.py, on --plain rows, 0 for none. Writes
scoring.json and .md below --out, with the size in their names where it is not 64.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import deque
from pathlib import Path

import numpy as np
import torch
import yaml

from afm_core.bundle import read_bundle
from afm_core.inference.pair_tables import BATCH_ROWS
from afm_core.models import EncodedBatch
from tests.benchmarks.report import Table, write_report
from tests.benchmarks.wide_logs import write_wide_logs
from tests.support.files import ROOT

NIGHT = "2026-01-01"
FIELDS = ("user", "item", *[f"context_{at:02}" for at in range(8)])
TRAINING = 100_000
ALONE = 1_000_000
CORES = 2
PLAIN = {
    "reference": "a plain pandas_udf, reference forward on Spark's batches",
    "pieces": "the same, 1,024 rows at a time",
    "inference": "a pandas_udf with our inference path",
}


def settings_for(folder: Path, rows: int, size: int) -> Path:
    tree = {
        "name": "scoring",
        "logs": {"path": str(folder / "logs")},
        "fields": list(FIELDS),
        "negatives": {"per_positive": 2, "replace": "item", "never_seen_by": "user"},
        "dataset": {"path": str(folder / "dataset")},
        "model": {"name": "afm", "embedding_dim": size, "attention_dim": size},
        "train": {"epochs": 1, "batch_size": 512, "warm_start": None},
        "run": {"path": str(folder / "run")},
        "score": {"logs": str(folder / f"nights-{rows}"), "path": str(folder / "scores"), "drift": {"warn": None}},
    }
    path = folder / f"settings-{rows}.yaml"
    path.write_text(yaml.safe_dump(tree, sort_keys=False), encoding="utf-8")
    return path


def timed(*arguments: object) -> float:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    start = time.perf_counter()
    completed = subprocess.run(
        [sys.executable, *map(str, arguments)], capture_output=True, text=True, env=environment, check=False
    )
    if completed.returncode:
        raise SystemExit(f"error: {arguments[0]} ended with {completed.returncode}\n{completed.stderr[-2000:]}")
    return time.perf_counter() - start


def night_of(folder: Path, rows: int, size: int) -> Path:
    write_wide_logs(folder / f"nights-{rows}" / f"dt={NIGHT}", rows, 2, FIELDS)
    return settings_for(folder, rows, size)


def rates_alone(folder: Path) -> tuple[float, float]:
    """Of the model and of the scorer, rows a second."""
    bundle = read_bundle(folder / "run" / "bundle")
    torch.set_num_threads(CORES)
    random = np.random.default_rng(1)
    columns = [field.ids(random.integers(field.size, size=ALONE)) for field in bundle.feature_map.fields]
    ids = torch.from_numpy(np.stack(columns, axis=1).astype(np.int64))
    pieces = [EncodedBatch.of_ids(piece) for piece in ids.split(BATCH_ROWS)]
    rates = []
    for score in (bundle.calibrated_model.score, bundle.scorer.batch):
        with torch.inference_mode():
            for _ in range(5):  # afterwards the scorer's tables are made
                deque(map(score, pieces), maxlen=0)
            start = time.perf_counter()
            deque(map(score, pieces), maxlen=0)
            rates.append(ALONE / (time.perf_counter() - start))
    return rates[0], rates[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000, 10_000_000])
    parser.add_argument("--plain", type=int, default=10_000_000, help="rows of the night that the plain UDF scores")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    parser.add_argument("--work", type=Path, help="folder for the logs")
    parser.add_argument("--size", type=int, default=64, help="k and t")
    arguments = parser.parse_args()
    size, name = arguments.size, "scoring" if arguments.size == 64 else f"scoring_{arguments.size}"
    lines, stages = [], []
    with tempfile.TemporaryDirectory(dir=arguments.work) as made_folder:
        folder = Path(made_folder)
        write_wide_logs(folder / "logs", TRAINING, 1, FIELDS)
        first = settings_for(folder, 0, size)
        for job in ("prepare", "train"):
            timed(ROOT / "jobs" / f"{job}.py", "--config", first)
        alone, scorer = rates_alone(folder)
        lines.append(_line("the model alone, two threads", ALONE, ALONE / alone, alone))
        lines.append(_line("the scorer alone, two threads", ALONE, ALONE / scorer, alone))
        for rows in arguments.rows:
            config = night_of(folder, rows, size)
            seconds = timed(ROOT / "jobs" / "score.py", "--config", config, "--date", NIGHT)
            manifest = json.loads((folder / "scores" / f"dt={NIGHT}" / "_manifest.json").read_text())
            if manifest["scored"] != rows:
                raise SystemExit(f"error: {manifest['scored']:,} rows scored of {rows:,}")
            known = sum(manifest["seconds"].values())
            rest = {
                "start, stop and the rest": seconds - known,
                "of all, in the model": manifest["model_seconds"] / CORES,
            }
            stages.append(manifest["seconds"] | rest)
            lines.append(_line("jobs/score.py", rows, seconds, alone))
            if rows != arguments.plain:
                shutil.rmtree(folder / f"nights-{rows}")
        config = settings_for(folder, arguments.plain, size)
        if arguments.plain and arguments.plain not in arguments.rows:
            night_of(folder, arguments.plain, size)
        for how, what in PLAIN.items() if arguments.plain else ():
            out = folder / f"plain-{how}"
            seconds = timed(ROOT / "tests" / "benchmarks" / "plain_score.py", config, NIGHT, out, how)
            lines.append(_line(what, arguments.plain, seconds, alone))
            shutil.rmtree(out)
    header = ["", "rows", "seconds", "rows/s", "x the model alone", "µs a row"]
    where = [[name, *[f"{found[name]:.1f}" for found in stages]] for name in stages[0]]
    of = ["seconds", *[f"{rows:,} rows" for rows in arguments.rows]]
    title = f"A night of ten fields: AFM, k = t = {size}, float32, local[2], CSV in, Parquet out"
    tables = [Table(title, header, lines), Table("Where the time goes", of, where)]
    write_report(arguments.out, name, "Scoring a night", tables)


def _line(name: str, rows: int, seconds: float, alone: float) -> list[str]:
    rate = rows / seconds
    return [name, f"{rows:,}", f"{seconds:.1f}", f"{rate:,.0f}", f"{rate / alone:.2f}", f"{1e6 / rate:.2f}"]


if __name__ == "__main__":
    main()
