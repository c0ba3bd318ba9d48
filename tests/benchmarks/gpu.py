"""`python -m tests.benchmarks.gpu`: everything about one GPU, in a few minutes, as gpu.md and gpu.json below --out.

Whether the kernels are right on this card, rows/s of training and inference beside plain torch, torch.compile and the
matrix products alone, launches and synchronisations of a training step, an epoch read from Parquet, and whether the
same training gives the same bits twice. Needs torch, triton, numpy, pyarrow and what the settings need (pydantic,
PyYAML, psutil, rich); no Spark, Petastorm or Horovod.

Without a GPU the kernels run on small shapes in Triton's interpreter, and the compiler's report takes the place of the
figures.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import torch

if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"  # before anything imports triton, which reads it then

from tests.benchmarks.contestants import CONTESTANTS, Shape, ours
from tests.benchmarks.gpu_training import determinism, epoch, step_costs
from tests.benchmarks.measuring import DEVICE, Step, rate
from tests.benchmarks.report import Table, write_report
from tests.benchmarks.triton_errors import MOST_ROWS, errors

SHAPES = ("10x256x512", "10x256x4096", "10x256x32768", "39x16x4096", "39x16x32768", "26x64x4096", "3x64x4096")
SMALL = ("3x16x16",)
OURS_FORCED = {"ours, Triton, float32": lambda shape: ours(shape, "float32", "triton")}
NAMES = (
    "ours", "ours, float32", "ours, Triton, float32", "plain torch", "torch.compile, bfloat16",
    "matrix products, bfloat16", "matrix products, float32",
)  # fmt: skip
TASKS = ("training", "inference")


def rates(shape: Shape, names: list[str], rounds: int, seconds: float) -> dict[str, dict[str, float]]:
    """Rows/s of each contestant in each task: the medians of the rounds, in which each has its turn."""
    prepared: dict[str, dict[str, Step]] = {}
    for name in names:
        torch.manual_seed(0)
        _, prepared[name] = (CONTESTANTS | OURS_FORCED)[name](shape)
        for step in prepared[name].values():
            rate(step, shape.rows, 0.0)  # compiles
    found: dict[str, dict[str, list[float]]] = {task: {name: [] for name in names} for task in TASKS}
    for task in TASKS:
        for _ in range(rounds):
            for name in names:
                found[task][name].append(rate(prepared[name][task], shape.rows, seconds))
    return {
        task: {name: statistics.median(each) for name, each in of_names.items()} for task, of_names in found.items()
    }


def rate_tables(shapes: list[Shape], names: list[str], rounds: int, seconds: float) -> list[Table]:
    """A table for each task."""
    tables = {
        task: Table(f"{task.capitalize()}, rows/s", ["m x k x rows", *names, "ours / plain torch"], [])
        for task in TASKS
    }
    for shape in shapes:
        for task, of_names in rates(shape, names, rounds, seconds).items():
            ratio = f"{of_names['ours'] / of_names['plain torch']:.2f}"
            found = [f"{of_names[name]:,.0f}" for name in names]
            tables[task].rows.append([f"{shape.m} x {shape.k} x {shape.rows:,}", *found, ratio])
        print(f"  {tables['training'].rows[-1]}", flush=True)
    return list(tables.values())


def error_table(shapes: list[Shape]) -> Table:
    """Largest errors of the kernels against the reference in float64."""
    columns = ["pooled", "weights", "d_v", "d_W", "d_b", "d_h"]
    rows = [
        [f"{shape.m} x {shape.k}, {precision}", *(f"{error:.1e}" for error in errors(shape, precision))]
        for shape in dict.fromkeys(shape._replace(rows=MOST_ROWS) for shape in shapes)
        for precision in ("bfloat16", "float32")
    ]
    return Table("Triton against the reference in float64, largest error over largest value", ["", *columns], rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shapes", nargs="+", help="fields x k x rows, such as 10x256x512")
    parser.add_argument("--names", nargs="+", choices=NAMES, default=list(NAMES), help="contestants")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=0.3, help="of each measurement, at least")
    parser.add_argument("--out", type=Path, default=Path("runs/bench"))
    options = parser.parse_args()
    on_card = DEVICE.type == "cuda"
    name = torch.cuda.get_device_name() if on_card else "no GPU: small shapes in Triton's interpreter"
    print(name, flush=True)
    shapes = [Shape(*map(int, text.split("x"))) for text in options.shapes or (SHAPES if on_card else SMALL)]
    tables: list[Table] = []
    try:
        tables.append(error_table(shapes))
        tables.append(determinism(on_card))
        if on_card:
            tables.append(step_costs())
        with tempfile.TemporaryDirectory() as folder:
            tables.append(epoch(Path(folder), on_card))
        if on_card:
            tables += rate_tables(shapes, options.names, options.rounds, options.seconds)
    finally:  # what was measured stays if the next part fails
        write_report(options.out, "gpu", name, tables)
    if not on_card:
        environment = {key: value for key, value in os.environ.items() if key != "TRITON_INTERPRET"}
        command = [sys.executable, "-m", "tests.benchmarks.compile_report"]
        sys.exit(subprocess.run(command, env=environment, check=False).returncode)


if __name__ == "__main__":
    main()
