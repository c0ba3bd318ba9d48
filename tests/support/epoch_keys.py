"""Run under horovodrun: each rank writes the row keys that its feed gives in one epoch."""

import sys
from pathlib import Path

from afm_core.settings import load_settings
from pipelines.feeding.feed import Feed
from pipelines.training.communicator import Communicator
from pipelines.training.launcher import run_on_ranks
from pipelines.training.train import open_dataset, shard_plan

settings, epoch, out = load_settings(Path(sys.argv[1])), int(sys.argv[2]), Path(sys.argv[3])


def work(ranks: Communicator, _: bool) -> None:
    dataset = open_dataset(settings)
    plan = shard_plan(settings, dataset, "train", ranks.rank, ranks.size)
    batches = [batch.row_key.tolist() for batch in Feed(dataset, "train", plan, settings.seed, True).epoch(epoch)]
    (out / f"rank-{ranks.rank}").write_text("\n".join(" ".join(map(str, batch)) for batch in batches) + "\n")


run_on_ranks(settings, work)
