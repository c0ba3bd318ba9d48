"""Rows a second of a night's scoring, from the start of the job to its end, against the model alone and a plain UDF.

`python -m tests.benchmarks.scoring --rows 1000000 10000000`: a night of ten fields, AFM with k = t = 64, local[2]. The
model alone is the bundle's predictor on encoded arrays with two threads in this process, no Spark; the plain UDFs are
those of plain_score.py, on --plain rows. Writes scoring.json and .md below --out.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
import yaml

from afm_core.bundle import read_bundle
from tests.benchmarks.report import Table, write_report
from tests.benchmarks.wide_logs import write_wide_logs

ROOT = Path(__file__).parents[2]
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


def settings_for(folder: Path, rows: int) -> Path:
    tree = {
        "name": "scoring",
        "logs": {"path": str(folder / "logs")},
        "fields": list(FIELDS),
        "negatives": {"per_positive": 2, "replace": "item", "never_seen_by": "user"},
        "dataset": {"path": str(folder / "dataset")},
        "model": {"name": "afm", "embedding_dim": 64, "attention_dim": 64},
        "train": {"epochs": 1, "batch_size": 512},
        "run": {"path": str(folder / "run")},
        "score": {"logs": str(folder / f"nights-{rows}"), "path": str(folder / "scores"), "drift": {"warn": None}},
    }
    path = folder / f"settings-{rows}.yaml"
    path.write_text(yaml.safe_dump(tree, sort_keys=False), encoding="utf-8")
    return path


def timed(*arguments: object) -> float:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    start = time.perf_counter()
    found = subprocess.run(
        [sys.executable, *map(str, arguments)], capture_output=True, text=True, env=environment, check=False
    )
    if found.returncode:
        raise SystemExit(f"error: {arguments[0]} ended with {found.returncode}\n{found.stderr[-2000:]}")
    return time.perf_counter() - start


def night_of(folder: Path, rows: int) -> Path:
    write_wide_logs(folder / f"nights-{rows}" / f"dt={NIGHT}", rows, 2, FIELDS)
    return settings_for(folder, rows)


def rate_alone(folder: Path) -> float:
    bundle = read_bundle(folder / "run" / "bundle")
    torch.set_num_threads(CORES)
    n_ids, random = bundle.feature_map.n_ids, np.random.default_rng(1)
    ids = random.integers(1, n_ids, (ALONE, len(FIELDS)), dtype=np.int32)
    x = np.empty((ALONE, 0), dtype=np.float32)
    bundle.predictor.predict_columns(ids[:100_000], x[:100_000], bundle.feature_map.x_of_slots)
    start = time.perf_counter()
    bundle.predictor.predict_columns(ids, x, bundle.feature_map.x_of_slots)
    return ALONE / (time.perf_counter() - start)


def main() -> None:
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--rows", type=int, nargs="+", default=[1_000_000, 10_000_000])
    made.add_argument("--plain", type=int, default=10_000_000, help="rows of the night that the plain UDF scores")
    made.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    made.add_argument("--work", type=Path, help="folder for the logs")
    arguments = made.parse_args()
    lines, stages = [], []
    with tempfile.TemporaryDirectory(dir=arguments.work) as name:
        folder = Path(name)
        write_wide_logs(folder / "logs", TRAINING, 1, FIELDS)
        first = settings_for(folder, 0)
        for job in ("prepare", "train"):
            timed(ROOT / "jobs" / f"{job}.py", "--config", first)
        alone = rate_alone(folder)
        lines.append(["the model alone, two threads", f"{ALONE:,}", "", f"{alone:,.0f}", "1.00", f"{1e6 / alone:.2f}"])
        for rows in arguments.rows:
            config = night_of(folder, rows)
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
        config = settings_for(folder, arguments.plain)
        if arguments.plain not in arguments.rows:
            night_of(folder, arguments.plain)
        for how, what in PLAIN.items():
            out = folder / f"plain-{how}"
            seconds = timed(ROOT / "tests" / "benchmarks" / "plain_score.py", config, NIGHT, out, how)
            lines.append(_line(what, arguments.plain, seconds, alone))
            shutil.rmtree(out)
    header = ["", "rows", "seconds", "rows/s", "x the model alone", "µs a row"]
    where = [[name, *[f"{found[name]:.1f}" for found in stages]] for name in stages[0]]
    of = ["seconds", *[f"{rows:,} rows" for rows in arguments.rows]]
    title = "A night of ten fields: AFM, k = t = 64, float32, local[2], CSV in, Parquet out"
    tables = [Table(title, header, lines), Table("Where the time goes", of, where)]
    write_report(arguments.out, "scoring", "Scoring a night", tables)


def _line(name: str, rows: int, seconds: float, alone: float) -> list[str]:
    rate = rows / seconds
    return [name, f"{rows:,}", f"{seconds:.1f}", f"{rate:,.0f}", f"{rate / alone:.2f}", f"{1e6 / rate:.2f}"]


if __name__ == "__main__":
    main()
