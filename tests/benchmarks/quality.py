"""Accuracy with nothing but defaults: linear, FM and AFM on logs of several kinds, and peers on the same encoded rows.

`python -m tests.benchmarks.quality` simulates three data sets: few rows in many fields, labels made by popularity,
and users with two rows each. `--config FILE` adds a data set of one's own, prepared here if it has not been; of its
settings only `model.embedding_dim` and `attention_dim` are kept for training. Everything is run by the jobs, in their
default settings but for `train.task`, seed and size. The peers' settings are chosen on the validation split
(`quality_peers.py`, in the environment of `make bench`). Writes quality_TASK.json and .md to --out.
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

import pyarrow.parquet as pq
import yaml

from afm_core.settings.yaml_text import load_yaml
from pipelines.dataset import Dataset
from tests.benchmarks.kinds_of_logs import SIMULATED, write_logs
from tests.benchmarks.report import Table, write_report
from tests.support.files import ROOT

MODELS = ("linear", "fm", "afm")
SIZE = 32
PEERS = Path(".venv-peers/bin/python")
METRICS = {"classification": "log loss", "regression": "RMSE"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    parser.add_argument("--task", choices=list(METRICS), default="classification")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--config", type=Path, nargs="+", default=[], help="settings of data sets of one's own")
    parser.add_argument("--simulated", nargs="*", choices=list(SIMULATED), default=list(SIMULATED))
    arguments = parser.parse_args()
    peers = PEERS if PEERS.exists() else None
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        trees = [load_yaml(path.read_text(encoding="utf-8")) for path in arguments.config]
        trees += [simulated(folder, kind) for kind in arguments.simulated]
        lines = [line for tree in trees for line in measured(folder, tree, arguments.task, arguments.seeds, peers)]
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
    write_report(arguments.out, f"quality_{arguments.task}", "Accuracy by default", [Table(title, header, lines)])


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


def measured(folder: Path, tree: dict[str, Any], task: str, seeds: list[int], peers: Path | None) -> list[list[str]]:
    """A line for each of our models, means over the seeds, which train anew on the same split; then the peers."""
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
    if task == "classification" and peers:
        lines += [peer_line(tree, rows, found) for found in peer_results(Path(tree["dataset"]["path"]), peers)]
    return lines


def peer_results(dataset: Path, python: Path) -> list[dict[str, Any]]:
    fields, columns = (
        Dataset.open(dataset).feature_map.fields,
        pq.read_schema(next((dataset / "train").glob("*"))).names,
    )
    spec = {
        field.name: {"ids": list(field.id_columns), "x": f"{field.name}_x" if f"{field.name}_x" in columns else None}
        for field in fields
    }
    command = [str(python), str(Path(__file__).with_name("quality_peers.py")), str(dataset), json.dumps(spec)]
    out = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return [json.loads(line) for line in out.splitlines() if line.startswith("{")]  # LightGBM warns on stdout


def peer_line(tree: dict[str, Any], rows: int, found: dict[str, Any]) -> list[str]:
    figures = [f"{found[name]:.4f}" for name in ("valid", "test", "auc")]
    line = [tree["name"], "", f"{rows:,}", found["model"], *figures, f"{found['seconds']:.0f}"]
    print(" | ".join(line), flush=True)
    return line


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
