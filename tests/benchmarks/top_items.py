"""The best items for many users: ours against running the model on every pair of user and item, in one process.

`python -m tests.benchmarks.top_items` compares 10,000 users in ten fields with 4,082 items, as many as Frappe has, for
AFM and FM with k = t = 64, the same blocks of users in turn. It fails unless all users get the same items. Writes
candidates.json and .md below --out.
"""

import argparse
import time
from pathlib import Path

import torch
from torch import Tensor

from afm_core.inference.top_items import TopItemFinder
from afm_core.models import AnyModel, EncodedBatch, Shape, build_model
from afm_core.settings.model import ModelSettings
from tests.benchmarks.report import Table, write_report

USERS, ITEMS, CONTEXTS, VALUES = 10_000, 4_082, 8, 50
BEST, SLOT = 10, 1
BLOCK = 500
ROWS = 4096


def model_of(name: str) -> AnyModel:
    torch.manual_seed(1)
    settings = ModelSettings.model_validate({"name": name, "embedding_dim": 64, "attention_dim": 64})
    model = build_model(settings, Shape(1 + USERS + ITEMS + CONTEXTS * VALUES, 2 + CONTEXTS))
    torch.nn.init.normal_(model.factors.embedding.weight, std=0.3)
    torch.nn.init.normal_(model.factors.linear.weight, std=0.3)
    return model.eval()


def queries(users: int) -> Tensor:
    torch.manual_seed(2)
    first = 1 + USERS + ITEMS
    contexts = first + torch.arange(CONTEXTS) * VALUES + torch.randint(0, VALUES, (users, CONTEXTS))
    ids = 1 + torch.arange(users)
    return torch.cat([ids[:, None], torch.zeros(users, 1, dtype=torch.int64), contexts], dim=1)


@torch.inference_mode()
def brute_force(model: AnyModel, rows: Tensor, items: Tensor) -> Tensor:
    """(Q, BEST) places of the items with the greatest outputs."""
    best = []
    for row in rows:
        pairs = row.repeat(len(items), 1)
        pairs[:, SLOT] = items
        outputs = torch.cat([model(EncodedBatch.of_ids(pairs[at : at + ROWS])) for at in range(0, len(pairs), ROWS)])
        best.append(outputs.argsort(descending=True, stable=True)[:BEST])
    return torch.stack(best)


def measure(name: str, users: int) -> dict[str, float]:
    model, items, rows = model_of(name), 1 + USERS + torch.arange(ITEMS), queries(users)
    candidates, seconds, same = TopItemFinder(model, SLOT, items), {"ours": 0.0, "every pair": 0.0}, 0
    for start in range(0, users, BLOCK):
        block = rows[start : start + BLOCK]
        began = time.perf_counter()
        ours, _ = candidates.best(block, BEST)
        half = time.perf_counter()
        theirs = brute_force(model, block, items)
        seconds["ours"] += half - began
        seconds["every pair"] += time.perf_counter() - half
        same += int((ours == theirs).all(dim=1).sum())
    if same != users:
        raise SystemExit(f"error: {name}: {users - same:,} of {users:,} users got other items")
    return {way: users / spent for way, spent in seconds.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=USERS)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    arguments = parser.parse_args()
    header = ["", "ours, users/s", "the model on every pair, users/s", "ratio"]
    rows = []
    for name in ("afm", "fm"):
        rates = measure(name, arguments.users)
        ours, every = rates["ours"], rates["every pair"]
        rows.append([name, f"{ours:,.0f}", f"{every:,.1f}", f"{ours / every:.1f}"])
    title = f"The {BEST} best of {ITEMS:,} items for {arguments.users:,} users in ten fields, k = t = 64"
    write_report(arguments.out, "candidates", "Candidates", [Table(title, header, rows)])


if __name__ == "__main__":
    main()
