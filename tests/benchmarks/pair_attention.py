"""Rows a second of AFM in training and inference: ours against the peers, the same shapes, interleaved.

`make bench` runs it on every shape; `--shapes 10x256x512 39x16x512` (fields x k x rows, t = k) on some. One process for
each contestant, alive for the whole run; a round asks each in turn, so that what slows the machine slows all. What is
reported is the median of the rounds. Writes pair_attention.json, .md and .png below --out.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch

from tests.benchmarks.contestants import CONTESTANTS, Shape
from tests.support.files import ROOT

HERE = Path(__file__).parent
PEERS = Path(".venv-peers/bin/python")
FROM_PEERS = ("DeepCTR-Torch", "FuxiCTR")
TASKS = ("training", "inference")
ALL = [Shape(m, k, rows) for rows in (512, 4096) for k in (16, 64, 256) for m in (3, 10, 26, 39)]
ON_GPU = [Shape(10, 256, 65536)]

Figures = dict[str, dict[str, float]]  # contestant -> training, inference: rows/s; training_mib


class Worker:
    """A contestant's process."""

    def __init__(self, name: str, threads: int, seconds: float) -> None:
        python = PEERS if name in FROM_PEERS else Path(sys.executable)
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        environment = {**os.environ, "PYTHONPATH": ".", "OMP_NUM_THREADS": str(threads)}
        self.name = name
        self.common = {"threads": threads, "seconds": seconds, "memory": int(0.85 * _free_memory())}
        command = [str(python), "-m", "tests.benchmarks.contestants", name]
        self.process = subprocess.Popen(command, text=True, cwd=ROOT, env=environment, **pipes)

    def ask(self, shape: Shape, task: str) -> dict[str, float]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps({**shape._asdict(), "task": task, **self.common}) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise SystemExit(f"error: {self.name} stopped at {shape}; run tests.benchmarks.contestants to see why")
        return json.loads(answer)


def _free_memory() -> int:
    fields = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    return int(fields["MemAvailable"].split()[0]) * 1024


def measure(workers: list[Worker], shape: Shape, rounds: int) -> Figures:
    rates: dict[str, dict[str, list[float]]] = {worker.name: {task: [] for task in TASKS} for worker in workers}
    figures: Figures = {}
    for task in TASKS:
        for _ in range(rounds):
            for worker in workers:
                if worker.name in figures and figures[worker.name].get("out_of_memory"):
                    continue
                answer = worker.ask(shape, task)
                figures.setdefault(worker.name, {}).update(answer)
                rates[worker.name][task].append(answer.get("rate", 0.0))
    for name, of_tasks in rates.items():
        figures[name].pop("rate", None)
        if not figures[name].get("out_of_memory"):
            figures[name].update({task: statistics.median(found) for task, found in of_tasks.items()})
    return figures


def markdown(machine: str, results: list[tuple[Shape, Figures]]) -> str:
    lines = [f"# Pair attention\n\n{machine}\n"]
    for task in TASKS:
        names = list(results[0][1])
        lines += [
            f"## {task.capitalize()}, rows/s\n",
            "| m | k = t | batch | " + " | ".join(names) + " | ours / DeepCTR-Torch | ours / bfloat16 products |",
            "| ---: " * (len(names) + 5) + "|",
        ]
        for shape, figures in results:
            cells = [f"{figures[name][task]:,.0f}" if task in figures[name] else "no memory" for name in names]
            ratios = [_ratio(figures, task, "DeepCTR-Torch"), _ratio(figures, task, "matrix products, bfloat16")]
            lines.append("| " + " | ".join([*map(str, shape), *cells, *ratios]) + " |")
        lines.append("")
    names = [name for name in results[0][1] if "products" not in name]
    lines += ["## Peak memory of a training step above what the process holds before it, MiB\n"]
    lines += [
        "| m | k = t | batch | " + " | ".join(names) + " | plain torch / ours |",
        "| ---: " * (len(names) + 4) + "|",
    ]
    for shape, figures in results:
        cells = [
            f"{figures[name]['training_mib']:,.0f}" if "training" in figures[name] else "no memory" for name in names
        ]
        plain, ours = figures["plain torch"].get("training_mib"), figures["ours"]["training_mib"]
        ratio = f"{plain / ours:.1f}" if plain and ours else ""
        lines.append("| " + " | ".join([*map(str, shape), *cells, ratio]) + " |")
    return "\n".join(lines) + "\n"


def _ratio(figures: Figures, task: str, peer: str) -> str:
    theirs = figures.get(peer, {}).get(task)
    return f"{figures['ours'][task] / theirs:.2f}" if theirs else ""


def describe_machine(threads: int, rounds: int) -> str:
    cpu = Path("/proc/cpuinfo").read_text().split("model name\t: ")[1].split("\n")[0]
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else f"{cpu}, {threads} threads"
    return (
        f"{device}; Python {platform.python_version()}, torch {torch.__version__}; {time.strftime('%Y-%m-%d')}; "
        f"medians of {rounds} rounds, contestants in turn. Float32 unless said; `ours` is bfloat16. A training step is "
        f"forward, backward and Adagrad. `matrix products` is the time of torch's products alone, which is the limit."
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shapes", nargs="*", help="fields x k x rows, such as 10x256x512; default: all")
    parser.add_argument("--rounds", type=int, default=5, help="(default: 5)")
    parser.add_argument("--seconds", type=float, default=0.5, help="of each measurement, at least (default: 0.5)")
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1), help="(default: 2)")
    parser.add_argument("--out", type=Path, default=Path("runs/bench"), help="(default: runs/bench)")
    options = parser.parse_args()
    shapes = [Shape(*map(int, text.split("x"))) for text in options.shapes or []]
    shapes = shapes or (ALL + ON_GPU if torch.cuda.is_available() else ALL)
    if not PEERS.exists():
        raise SystemExit("error: .venv-peers is missing: run make bench, which makes it")
    workers = [Worker(name, options.threads, options.seconds) for name in CONTESTANTS]
    machine = describe_machine(options.threads, options.rounds)
    options.out.mkdir(parents=True, exist_ok=True)
    results: list[tuple[Shape, Figures]] = []
    start = time.perf_counter()
    for done, shape in enumerate(shapes, start=1):
        results.append((shape, measure(workers, shape, options.rounds)))
        ours = results[-1][1]["ours"]
        ratios = ", ".join(f"{task} {_ratio(results[-1][1], task, 'DeepCTR-Torch') or '-'} x" for task in TASKS)
        left = (time.perf_counter() - start) / done * (len(shapes) - done)
        print(
            f"{done}/{len(shapes)}  m={shape.m} k=t={shape.k} batch={shape.rows}: {ours['training']:,.0f} and "
            f"{ours['inference']:,.0f} rows/s; of DeepCTR-Torch: {ratios}; about {left / 60:.0f} min left",
            flush=True,
        )
        content = [{**shape._asdict(), "figures": figures} for shape, figures in results]
        (options.out / "pair_attention.json").write_text(json.dumps({"machine": machine, "results": content}, indent=1))
        (options.out / "pair_attention.md").write_text(markdown(machine, results))
    for worker in workers:
        worker.process.kill()
    subprocess.run([PEERS, HERE / "plot.py", options.out / "pair_attention.json"], check=True)
    print(f"wrote {options.out}/pair_attention.json, .md and .png")


if __name__ == "__main__":
    main()
