"""Accuracy with nothing but defaults: linear, FM and AFM on logs of several kinds.

`python -m tests.benchmarks.defaults` simulates three data sets: few rows in many fields, labels made by popularity,
and users with two rows each. `--config FILE` adds a data set of one's own, prepared here if it has not been; of its
settings only `model.embedding_dim` and `attention_dim` are kept for training. Everything is run by the jobs, in their
default settings but for `train.task`, seed and size. Writes defaults_TASK.json and .md to --out.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml

from afm_core.settings.yaml_text import load_yaml
from tests.benchmarks.kinds_of_logs import SIMULATED, write_logs
from tests.benchmarks.report import Table, write_report
from tests.support.files import ROOT

MODELS = ("linear", "fm", "afm")
SIZE = 32
METRICS = {"classification": "log loss", "regression": "RMSE"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    parser.add_argument("--task", choices=list(METRICS), default="classification")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--config", type=Path, nargs="+", default=[], help="settings of data sets of one's own")
    parser.add_argument("--simulated", nargs="*", choices=list(SIMULATED), default=list(SIMULATED))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        trees = [load_yaml(path.read_text(encoding="utf-8")) for path in arguments.config]
        trees += [simulated(folder, kind) for kind in arguments.simulated]
        lines = [line for tree in trees for line in measured(folder, tree, arguments.task, arguments.seeds)]
    metric = METRICS[arguments.task]
    header = [
        "data set",
        "k",
        "training rows",
        "model",
        f"validation {metric}",
        f"test {metric}",
        "test AUC",
        "seconds",
    ]
    seeds = ", ".join(map(str, arguments.seeds))
    title = f"task: {arguments.task}, everything else by default, seeds {seeds}: means"
    write_report(arguments.out, f"defaults_{arguments.task}", "Accuracy by default", [Table(title, header, lines)])


def simulated(folder: Path, kind: str) -> dict[str, Any]:
    fields = write_logs(folder / "logs" / kind, kind)
    return {
        "name": kind,
        "logs": {"path": str(folder / "logs" / kind), "format": "parquet"},
        "fields": fields,
        "label": {"column": "clicked"},
        "split": {"train": 0.7, "valid": 0.15, "test": 0.15},
        "dataset": {"path": str(folder / "datasets" / kind)},
        "model": {"embedding_dim": SIZE, "attention_dim": SIZE},
        "run": {"path": str(folder / "runs" / kind)},
    }


def measured(folder: Path, tree: dict[str, Any], task: str, seeds: list[int]) -> list[list[str]]:
    """A line for each model: means over the seeds, each of which trains anew on the same split."""
    if not Path(tree["dataset"]["path"]).exists():
        job("prepare", settings(folder, tree, task, "afm", seeds[0]))
    rows = json.loads((Path(tree["dataset"]["path"]) / "manifest.json").read_text())["splits"]["train"]["rows"]
    lines = []
    for model in MODELS:
        results = [result(settings(folder, tree, task, model, seed), task, model) for seed in seeds]
        valid, test, auc, seconds = (sum(column) / len(seeds) for column in zip(*results, strict=True))
        line = [tree["name"], str(tree["model"].get("embedding_dim", 64)), f"{rows:,}", model]
        lines.append([*line, f"{valid:.4f}", f"{test:.4f}", f"{auc:.4f}", f"{seconds:.0f}"])
        print(" | ".join(lines[-1]), flush=True)
    return lines


def settings(folder: Path, tree: dict[str, Any], task: str, model: str, seed: int) -> Path:
    """The settings of one training; those that would change it are left out of the data set's."""
    kept = {
        key: tree[key] for key in ("name", "logs", "fields", "label", "negatives", "split", "dataset") if key in tree
    }
    sizes = {key: tree["model"][key] for key in ("embedding_dim", "attention_dim") if key in tree["model"]}
    kept["dataset"] = {"rows_per_file": 16_384, **kept["dataset"]}
    own = {
        "seed": seed,
        "model": {"name": model, **sizes},
        "train": {"task": task},
        "run": {"path": str(folder / "trainings" / f"{tree['name']}-{model}-{seed}")},
    }
    path = folder / f"{tree['name']}-{model}-{seed}.yaml"
    path.write_text(yaml.safe_dump({**kept, **own}, sort_keys=False), encoding="utf-8")
    return path


def result(config: Path, task: str, model: str) -> tuple[float, float, float, float]:
    """Validation and test metric, test AUC, and the seconds of the training job, start included."""
    began = time.monotonic()
    job("train", config)
    seconds = time.monotonic() - began
    job("evaluate", config)
    run = Path(yaml.safe_load(config.read_text())["run"]["path"])
    valid = json.loads((run / "bundle" / "metrics.json").read_text())["valid"]
    test = json.loads((run / "evaluation.json").read_text())["metrics"][model]
    name = {"classification": "log_loss", "regression": "rmse"}[task]
    return valid, test[name], test["auc"], seconds


def job(name: str, config: Path) -> None:
    command = [sys.executable, str(ROOT / "jobs" / f"{name}.py"), "--config", str(config)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env={**os.environ, "PYTHONPATH": str(ROOT)})


if __name__ == "__main__":
    main()
