"""Training steps of one rank or several, on batches that look like logs. The driver is training.py.

Ten fields: two share the vocabulary and are drawn by Zipf's law, eight have 50 values each.
"""

import argparse
import json
import statistics
import time
from pathlib import Path

import numpy as np
import torch

from afm_core.kernels.heap import keep_freed_memory
from afm_core.learning.optimisers import build_optimizer
from afm_core.models import EncodedBatch, Shape, add_penalty_gradient, build_model
from afm_core.settings import load_settings
from pipelines.training.communicator import Communicator
from pipelines.training.launcher import run_on_ranks

FIELDS, LARGE, SMALL_VALUES, ZIPF = 10, 2, 50, 1.1
WARM_UP = 5
PARTS = ("model", "exchange", "optimiser")


def draw_ids(random: np.random.Generator, rows: int, n_ids: int) -> torch.Tensor:
    """(rows, FIELDS) int64."""
    small = FIELDS - LARGE
    each = (n_ids - small * SMALL_VALUES) // LARGE
    large = [1 + (random.zipf(ZIPF, rows) * 2_654_435_761 % each) + at * each for at in range(LARGE)]
    first = 1 + LARGE * each
    others = [first + at * SMALL_VALUES + random.integers(0, SMALL_VALUES, rows) for at in range(small)]
    return torch.from_numpy(np.stack([*large, *others], axis=1).astype(np.int64))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--ids", type=int, required=True)
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--set", action="append", default=[], dest="overrides")
    arguments = parser.parse_args()
    settings = load_settings(arguments.config, arguments.overrides)

    def work(ranks: Communicator, _: bool) -> None:
        keep_freed_memory()
        torch.set_num_threads(1)
        torch.manual_seed(1)
        model = build_model(settings.model, Shape(arguments.ids + 1, FIELDS))
        optimizer = build_optimizer(model.parameters(), settings.train)
        random = np.random.default_rng(1 + ranks.rank)
        rows = settings.train.batch_size // ranks.size
        seconds: dict[str, list[float]] = {part: [] for part in PARTS}
        for _step in range(WARM_UP + arguments.steps):
            batch, label = EncodedBatch.of_ids(draw_ids(random, rows, arguments.ids)), torch.ones(rows)
            ranks.sum([0.0])  # nobody's drawing is anybody's waiting
            times = [time.perf_counter()]
            optimizer.zero_grad()
            ((model(batch) - label).square().sum() / settings.train.batch_size).backward()
            add_penalty_gradient(model, settings.model, ranks.size)
            times.append(time.perf_counter())
            ranks.sum_gradients(model.parameters())
            times.append(time.perf_counter())
            optimizer.step()
            times.append(time.perf_counter())
            for part, begin, end in zip(PARTS, times, times[1:], strict=False):
                seconds[part].append(end - begin)
        if ranks.rank == 0:
            medians = {part: statistics.median(found[WARM_UP:]) for part, found in seconds.items()}
            whole = statistics.median(map(sum, list(zip(*seconds.values(), strict=True))[WARM_UP:]))
            arguments.out.write_text(json.dumps({**medians, "step": whole}))

    run_on_ranks(settings, work)


if __name__ == "__main__":
    main()
