"""Training steps of AFM that compute each distinct pair of features once, beside those that compute every pair.

`python -m tests.benchmarks.distinct_pairs --config conf/frappe.yaml` takes batches of that dataset, which must be
prepared, and batches whose ids are uniform among --values, in float32. Both ways step in turn, from the same weights;
medians count. Writes distinct_pairs.json, .md and .png below --out.
"""

import argparse
import statistics
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from unittest import mock

import torch
from matplotlib.figure import Figure

from afm_core.kernels import distinct_pairs
from afm_core.kernels.heap import keep_freed_memory
from afm_core.learning.tasks import task_of
from afm_core.models import EncodedBatch, Shape, build_model
from afm_core.settings import Settings, load_settings
from pipelines.dataset import Dataset
from pipelines.feeding.batch import Batch
from pipelines.feeding.feed import Feed
from pipelines.training.communicator import SingleProcess
from pipelines.training.state import TrainingState
from pipelines.training.step import compute_gradients, update
from pipelines.training.train import shard_plan
from tests.benchmarks.report import Table, write_report

WARM_UP = 3
SINGLE = SingleProcess()
HEADER = ["", "rows a step", "distinct pairs", "rows/s, each once", "rows/s, every pair", "ratio"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--rows", type=int, nargs="+", default=[512, 4096], help="of a batch (default: 512 4096)")
    parser.add_argument("--sizes", type=int, nargs="+", default=[64, 256], help="k and t (default: 64 256)")
    parser.add_argument("--values", type=int, nargs="*", default=[30, 100, 10_000], help="of a uniform field")
    parser.add_argument("--steps", type=int, default=15)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    arguments = parser.parse_args()
    keep_freed_memory()
    tables, points = [], dict[str, list[tuple[float, float]]]()
    for size in arguments.sizes:
        lines = []
        for rows in arguments.rows:
            sizes = [f"model.embedding_dim={size}", f"model.attention_dim={size}", f"train.batch_size={rows}"]
            settings = load_settings(arguments.config, ["model.precision=float32", *sizes])
            for name, (shape, batches) in kinds_of_batches(settings, arguments.values).items():
                first = list(islice(batches, WARM_UP + arguments.steps))
                share, once, every_pair = measure(settings, shape, first)
                points.setdefault(f"k = t = {size}, {rows:,} rows", []).append((share, every_pair / once))
                rates = [f"{rows / once:,.0f}", f"{rows / every_pair:,.0f}", f"{every_pair / once:.2f}"]
                lines.append([name, f"{rows:,}", f"{share:.1%}", *rates])
        tables.append(Table(f"k = t = {size}, float32, {torch.get_num_threads()} threads", HEADER, lines))
    write_report(arguments.out, "distinct_pairs", "Training steps that compute each distinct pair once", tables)
    plot(points, arguments.out / "distinct_pairs.png")


def kinds_of_batches(settings: Settings, values: list[int]) -> dict[str, tuple[Shape, Iterator[Batch]]]:
    """Batches of the dataset, and uniform ones."""
    dataset = Dataset.open(settings.dataset.path)
    shape = Shape.of(dataset.feature_map)
    kinds = {settings.name: (shape, real_batches(settings, dataset))}
    for of_field in values:
        uniform = Shape(1 + shape.n_columns * of_field, shape.n_columns)
        batches = uniform_batches(uniform, of_field, settings.train.batch_size)
        kinds[f"uniform, {of_field:,} values per field"] = (uniform, batches)
    return kinds


def real_batches(settings: Settings, dataset: Dataset) -> Iterator[Batch]:
    """The first batches of an epoch."""
    return iter(Feed(dataset, "train", shard_plan(settings, dataset, "train", 0, 1), settings.seed).epoch(1))


def uniform_batches(shape: Shape, values: int, rows: int) -> Iterator[Batch]:
    """Batches of ids that are uniform in each field."""
    random = torch.Generator().manual_seed(1)
    first = 1 + values * torch.arange(shape.n_columns)
    while True:
        ids = first + torch.randint(values, (rows, shape.n_columns), generator=random)
        yield Batch(EncodedBatch.of_ids(ids), torch.ones(rows), None, None)


def measure(settings: Settings, shape: Shape, batches: list[Batch]) -> tuple[float, float, float]:
    """The mean share of distinct pairs, and the median seconds of a step that computes each once, and every pair."""
    states = []
    for _ in range(2):
        torch.manual_seed(settings.seed)
        states.append(TrainingState.start(build_model(settings.model, shape), settings, len(batches)))
    seconds: tuple[list[float], list[float]] = [], []
    shares = []
    for batch in batches:
        found = distinct_pairs._find(batch.encoded.ids, batch.encoded.values * batch.encoded.mask)
        shares.append(len(found.first) / found.of_row.numel())
        for every_pair, (state, of_way) in enumerate(zip(states, seconds, strict=True)):
            find = (lambda *_, **__: None) if every_pair else distinct_pairs.find
            with mock.patch.object(distinct_pairs, "find", find):
                start = time.perf_counter()
                step(state, batch, settings)
                of_way.append(time.perf_counter() - start)
    once, every = (statistics.median(of_way[WARM_UP:]) for of_way in seconds)
    return statistics.mean(shares), once, every


def step(state: TrainingState, batch: Batch, settings: Settings) -> None:
    """As the training loop does it."""
    compute_gradients(state, batch, len(batch.label), task_of(settings.train), settings, SINGLE)
    update(state, settings, SINGLE, batch.encoded.ids.numel())


def plot(points: dict[str, list[tuple[float, float]]], path: Path) -> None:
    """The ratio of the rates against the share of distinct pairs."""
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    for (name, of_size), marker in zip(points.items(), "o^sD", strict=False):
        axes.plot(*zip(*sorted(of_size), strict=True), marker=marker, color="black", linewidth=0.8, label=name)
    axes.axhline(1.0, color="grey", linewidth=0.8)
    axes.set(xlabel="distinct pairs / pairs", ylabel="rows/s: each pair once / every pair", ylim=(0, None))
    axes.legend()
    figure.savefig(path, dpi=150)


if __name__ == "__main__":
    main()
