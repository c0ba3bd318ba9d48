"""The training loop."""

import copy
import time
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from afm_core.learning.calibration import fit_platt
from afm_core.learning.optimisers import add_row_l2, build_optimizer
from afm_core.learning.prediction import Predictor
from afm_core.learning.schedule import rate_factor
from afm_core.learning.tasks import TASKS, Task
from afm_core.models import AnyModel, penalty
from afm_core.settings import Settings
from pipelines.feeding.feed import Feed
from pipelines.training.communicator import Communicator
from pipelines.training.watching import Epoch, Watcher


@dataclass(frozen=True)
class Fit:
    """A finished training."""

    predictor: Predictor
    """Holds the weights of `best`."""
    epochs: list[Epoch]
    best: Epoch


@dataclass(frozen=True)
class _Run:
    """What one model's training holds together."""

    model: AnyModel
    settings: Settings
    task: Task
    optimizer: Optimizer
    schedule: LambdaLR
    average: AveragedModel | None
    ranks: Communicator
    watcher: Watcher

    @property
    def validated(self) -> AnyModel:
        """The model whose weights count."""
        return cast(AnyModel, self.average.module) if self.average else self.model


def fit(model: AnyModel, settings: Settings, train: Feed, valid: Feed, ranks: Communicator, watcher: Watcher) -> Fit:
    """Train until `train.epochs`, or until `train.patience` epochs brought nothing better; keep the best epoch.

    Every rank leaves with the same weights.
    """
    ranks.broadcast(model)
    run = _start(model, settings, train.plan.steps, ranks, watcher)
    epochs: list[Epoch] = []
    best, best_weights = None, model.state_dict()
    for number in range(1, settings.train.epochs + 1):
        start = time.monotonic()
        train_loss = _train_epoch(run, train, number)
        seconds = time.monotonic() - start
        valid_loss = validate(run.validated, run.task, valid, ranks)
        figures = run.task.monitor, train_loss, valid_loss
        epoch = Epoch(settings.model.name, number, train.plan.steps, *figures, train.plan.rows / seconds)
        epochs.append(epoch)
        if best is None or valid_loss < best.valid:
            best, best_weights = epoch, copy.deepcopy(run.validated.state_dict())
        watcher.epoch_done(epoch, is_best=epoch is best)
        if number - best.number >= settings.train.patience:
            break
    assert best is not None
    model.load_state_dict(best_weights)
    assert ranks.all_equal(model), "the ranks ended with different parameters"
    predictor = Predictor(model, settings.train.task)
    if run.task.calibrated:
        predictor.calibrate(*_calibration(model, valid, ranks))
    return Fit(predictor, epochs, best)


def _start(model: AnyModel, settings: Settings, steps: int, ranks: Communicator, watcher: Watcher) -> _Run:
    train = settings.train
    optimizer = build_optimizer([weight for weight in model.parameters() if weight.requires_grad], train)
    average = None
    if train.average:
        average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(train.average))  # type: ignore[no-untyped-call]

    def factor(step: int) -> float:
        return rate_factor(step, steps * train.epochs, train.schedule, train.warmup_steps)

    schedule = LambdaLR(optimizer, factor)
    return _Run(model, settings, TASKS[train.task], optimizer, schedule, average, ranks, watcher)


def _train_epoch(run: _Run, feed: Feed, number: int) -> float:
    settings, ranks = run.settings, run.ranks
    learning = [weight for weight in run.model.parameters() if weight.requires_grad]
    run.model.train()
    torch.manual_seed(hash((settings.seed, number, ranks.rank)))  # dropout; ints hash alike in every process
    total, count = 0.0, 0
    with run.watcher.epoch(settings.model.name, number, feed.plan.rows) as advance:
        for step, batch in enumerate(feed.epoch(number)):
            rows = feed.plan.global_rows(step)
            run.optimizer.zero_grad()
            loss, terms = run.task.loss(run.model(batch.encoded), batch.label, batch.weight)
            objective = loss / rows + penalty(run.model, settings.model) / ranks.size
            objective.backward()  # type: ignore[no-untyped-call]
            ranks.sum_gradients(learning)
            if settings.train.embedding_l2:
                add_row_l2(learning, settings.train.embedding_l2)
            run.optimizer.step()
            run.schedule.step()
            if run.average:
                run.average.update_parameters(run.model)
            total, count = total + loss.item(), count + terms
            advance(rows, loss.item() / max(1, terms))
    return _mean(run.task, total, count, ranks)


@torch.inference_mode()
def validate(model: AnyModel, task: Task, feed: Feed, ranks: Communicator) -> float:
    """What the task watches, over all rows of all ranks, by sums."""
    model.eval()
    total, count = 0.0, 0
    for batch in feed.epoch(0):
        loss, terms = task.loss(task.validated(model(batch.encoded)), batch.label, None)
        total, count = total + loss.item(), count + terms
    return _mean(task, total, count, ranks)


def _mean(task: Task, total: float, count: int, ranks: Communicator) -> float:
    total, terms = ranks.sum([total, float(count)])
    return task.of_mean(total / max(1.0, terms))


@torch.inference_mode()
def _calibration(model: AnyModel, feed: Feed, ranks: Communicator) -> tuple[float, float]:
    model.eval()
    parts = [(model(batch.encoded).numpy(), batch.label.numpy()) for batch in feed.epoch(0)]
    output, label = (np.concatenate(column) for column in zip(*parts, strict=True))
    return fit_platt(output, label, ranks.sum)
