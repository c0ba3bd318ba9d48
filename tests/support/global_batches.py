"""Run under horovodrun: train on the same batches whatever the number of ranks, each of which takes its share of them.

Writes the gradients of the first step and the loss of every step.
"""

import sys
from pathlib import Path

import pyarrow.parquet as pq
import torch

from afm_core.learning.optimisers import build_optimizer
from afm_core.learning.tasks import task_of
from afm_core.models import EncodedBatch, Shape, add_penalty_gradient, build_model
from afm_core.settings import load_settings
from pipelines.training.communicator import Communicator
from pipelines.training.launcher import run_on_ranks
from pipelines.training.train import open_dataset

STEPS, ROWS = 200, 64
settings, out, exchange = load_settings(Path(sys.argv[1])), Path(sys.argv[2]), sys.argv[3]


def work(ranks: Communicator, _: bool) -> None:
    torch.manual_seed(1)
    torch.set_num_threads(1)
    dataset = open_dataset(settings)
    table = pq.ParquetDataset(dataset.files("train")).read()
    ids = torch.stack([torch.from_numpy(table[name].to_numpy().copy()) for name in dataset.feature_map.id_columns], 1)
    label = torch.from_numpy(table["label"].to_numpy().copy())
    model = build_model(settings.model.model_copy(update={"pooled_dropout": 0.0}), Shape.of(dataset.feature_map))
    torch.nn.init.normal_(model.factors.embedding.weight, std=0.3)  # at the start b's gradient is all cancellation
    optimizer, loss_of = build_optimizer(model.parameters(), settings.train), task_of(settings.train).loss
    first, losses = {}, []
    for step in range(STEPS):
        rows = (torch.arange(ROWS) + step * ROWS) % len(label)
        mine = rows.chunk(ranks.size)[ranks.rank]
        optimizer.zero_grad()
        loss, _ = loss_of(model(EncodedBatch.of_ids(ids[mine].long())), label[mine], None)
        (loss / ROWS).backward()
        add_penalty_gradient(model, settings.model, ranks.size)
        ranks.sum_gradients(model.parameters(), lookups=ids[mine].numel() if exchange == "auto" else None)
        if not step:
            first = {name: weight.grad.to_dense().clone() for name, weight in model.named_parameters()}
        losses.append(ranks.sum([loss.item()])[0] / ROWS)
        optimizer.step()
    if ranks.rank == 0:
        torch.save({"gradients": first, "losses": torch.tensor(losses)}, out)


run_on_ranks(settings, work)
