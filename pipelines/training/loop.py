"""The training loop."""

import copy
import math
import time
from dataclasses import dataclass

import torch
from torch.optim import Optimizer

from afm_core.learning.losses import squared_error
from afm_core.learning.optimisers import build_optimizer
from afm_core.learning.prediction import predict
from afm_core.models import AnyModel, penalty
from afm_core.settings import Settings
from pipelines.feeding.feed import Feed
from pipelines.training.communicator import Communicator
from pipelines.training.watching import Epoch, Watcher


@dataclass(frozen=True)
class Fit:
    """A finished training; the model holds the weights of `best`."""

    epochs: list[Epoch]
    best: Epoch


def fit(model: AnyModel, settings: Settings, train: Feed, valid: Feed, ranks: Communicator, watcher: Watcher) -> Fit:
    """Train until `train.epochs`, or until `train.patience` epochs brought nothing better; keep the best epoch.

    Every rank leaves with the same weights.
    """
    ranks.broadcast(model)
    optimizer = build_optimizer(model.parameters(), settings.train)
    epochs: list[Epoch] = []
    best, best_weights = None, model.state_dict()
    for number in range(1, settings.train.epochs + 1):
        start = time.monotonic()
        train_rmse = _train_epoch(model, optimizer, train, ranks, number, settings, watcher)
        seconds = time.monotonic() - start
        valid_rmse = validate(model, valid, ranks)
        epoch = Epoch(settings.model.name, number, train.plan.steps, train_rmse, valid_rmse, train.plan.rows / seconds)
        epochs.append(epoch)
        if best is None or valid_rmse < best.valid_rmse:
            best, best_weights = epoch, copy.deepcopy(model.state_dict())
        watcher.epoch_done(epoch, is_best=epoch is best)
        if number - best.number >= settings.train.patience:
            break
    assert best is not None
    model.load_state_dict(best_weights)
    assert ranks.all_equal(model), "the ranks ended with different parameters"
    return Fit(epochs, best)


def _train_epoch(
    model: AnyModel,
    optimizer: Optimizer,
    feed: Feed,
    ranks: Communicator,
    number: int,
    settings: Settings,
    watcher: Watcher,
) -> float:
    model.train()
    torch.manual_seed(hash((settings.seed, number, ranks.rank)))  # dropout; ints hash alike in every process
    total = 0.0
    with watcher.epoch(settings.model.name, number, feed.plan.rows) as advance:
        for step, batch in enumerate(feed.epoch(number)):
            rows = feed.plan.global_rows(step)
            optimizer.zero_grad()
            error = squared_error(model(batch.encoded), batch.label, batch.weight)
            loss = error / rows + penalty(model, settings.model) / ranks.size
            loss.backward()  # type: ignore[no-untyped-call]
            ranks.sum_gradients(model.parameters())
            optimizer.step()
            total += error.item()
            advance(rows, error.item() / max(1, len(batch.label)))
    return math.sqrt(ranks.sum([total])[0] / feed.plan.rows)


def validate(model: AnyModel, feed: Feed, ranks: Communicator) -> float:
    """RMSE of the clipped predictions over all rows of all ranks, by summed squares."""
    model.eval()
    total = 0.0
    for batch in feed.epoch(0):
        total += squared_error(predict(model, batch.encoded), batch.label).item()
    return math.sqrt(ranks.sum([total])[0] / feed.plan.rows)
