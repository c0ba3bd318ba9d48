"""The training loop."""

import json
import math
import time
from dataclasses import dataclass

import numpy as np
import torch

from afm_core.errors import DivergedError, InterruptedBySignal
from afm_core.learning.calibration import fit_platt
from afm_core.learning.optimisers import add_row_l2
from afm_core.learning.prediction import Predictor
from afm_core.learning.tasks import Task, task_of
from afm_core.models import AnyModel, penalty
from afm_core.settings import Settings
from pipelines.feeding.feed import Feed
from pipelines.training.checkpoints import Checkpoints
from pipelines.training.communicator import Communicator
from pipelines.training.interruption import STOPPING, Interruption, interruptible
from pipelines.training.state import TrainingState, seed_step
from pipelines.training.watching import Epoch, Watcher

_STEPS_BETWEEN_QUESTIONS = 8  # asking all ranks whether one was told to stop costs a round trip


@dataclass(frozen=True)
class Fit:
    """A finished training."""

    predictor: Predictor
    """Holds the weights of `best`."""
    epochs: list[Epoch]
    best: Epoch


@dataclass(frozen=True)
class Trainer:
    """What a training needs and does not change."""

    settings: Settings
    train: Feed
    valid: Feed
    ranks: Communicator
    watcher: Watcher
    checkpoints: Checkpoints

    @property
    def task(self) -> Task:
        """Of the settings."""
        return task_of(self.settings.train)


def fit(model: AnyModel, trainer: Trainer, resume: bool = False) -> Fit:
    """Train until `train.epochs`, or until `train.patience` epochs brought nothing better; keep the best epoch.

    Every rank leaves with the same weights.

    Args:
        resume: go on from the newest whole checkpoint, if there is one.

    Raises:
        InterruptedBySignal: SIGTERM or SIGINT came; a checkpoint was written.
        CheckpointError: a checkpoint cannot be written, or is of other settings.
        DivergedError: the loss is not a number.
    """
    settings, ranks = trainer.settings, trainer.ranks
    ranks.broadcast(model)
    state = TrainingState.start(model, settings, trainer.train.plan.steps)
    if resume:
        _resume(state, trainer)
    with interruptible() as interruption:
        while not _over(state, settings):
            _train_epoch(state, trainer, interruption)
    assert state.best is not None
    model.load_state_dict(state.best_weights)
    assert ranks.all_equal(model), "the ranks ended with different parameters"
    predictor = Predictor(model, settings.train.task)
    if trainer.task.calibrated:
        predictor.calibrate(*_calibration(model, trainer.valid, ranks))
    return Fit(predictor, state.epochs, state.best)


def _over(state: TrainingState, settings: Settings) -> bool:
    if state.best is None or state.step:
        return False
    done = state.epoch - 1
    return done >= settings.train.epochs or done - state.best.number >= settings.train.patience


def _resume(state: TrainingState, trainer: Trainer) -> None:
    """Rank 0 chooses the checkpoint; the others read the same one."""
    found = trainer.checkpoints.newest() if trainer.ranks.rank == 0 else None
    step = trainer.ranks.sum([float(trainer.checkpoints.step_of(found)) if found else 0.0])[0]
    if step:
        trainer.checkpoints.restore(int(step), state)
        if trainer.ranks.rank:  # the checkpoint holds the sums of all ranks
            state.loss, state.terms = 0.0, 0
        trainer.watcher.resumes(trainer.settings.model.name, state.epochs, state.epoch, state.step)


def _train_epoch(state: TrainingState, trainer: Trainer, interruption: Interruption) -> None:
    settings, ranks, feed = trainer.settings, trainer.ranks, trainer.train
    number, first, start = state.epoch, state.step, time.monotonic()
    rows_before = feed.plan.rows_of_steps(first)
    state.model.train()
    with trainer.watcher.epoch(settings.model.name, number, feed.plan.rows - rows_before) as advance:
        for step, batch in enumerate(feed.epoch(number, first), start=first):
            seed_step(settings.seed, number, step, ranks.rank)
            rows = feed.plan.global_rows(step)
            state.optimizer.zero_grad()
            loss, terms = trainer.task.loss(state.model(batch.encoded), batch.label, batch.weight)
            objective = loss / rows + penalty(state.model, settings.model) / ranks.size
            objective.backward()  # type: ignore[no-untyped-call]
            if not math.isfinite(loss.item()):
                raise _diverged(trainer, number, step)
            _step(state, trainer)
            state.step, state.loss, state.terms = step + 1, state.loss + loss.item(), state.terms + terms
            advance(rows, loss.item() / max(1, terms))
            _checkpoint_if_due(state, trainer, interruption)
    seconds = time.monotonic() - start
    train_loss = _mean(trainer.task, state.loss, state.terms, ranks)
    valid_loss = validate(state.validated, trainer.task, trainer.valid, ranks)
    speed = (feed.plan.rows - rows_before) / seconds
    epoch = Epoch(settings.model.name, number, feed.plan.steps, trainer.task.monitor, train_loss, valid_loss, speed)
    is_best = state.epoch_done(epoch)
    trainer.watcher.epoch_done(epoch, is_best)
    if ranks.rank == 0:
        trainer.checkpoints.save(state)


def _diverged(trainer: Trainer, epoch: int, step: int) -> DivergedError:
    """Read the batch again, with its keys, and write them down for whoever looks into it."""
    keys = next(trainer.train.with_row_keys().epoch(epoch, step)).row_key
    assert keys is not None
    path = trainer.settings.run.path / f"diverged-rank-{trainer.ranks.rank}.json"
    path.write_text(json.dumps({"epoch": epoch, "step": step, "row_keys": keys.tolist()}) + "\n", encoding="utf-8")
    return DivergedError(
        f"the loss is not a number in epoch {epoch}, step {step}; the row keys of the batch are in {path}; lower "
        "train.learning_rate, or look at the x_i of those rows, and go on with --resume auto"
    )


def _step(state: TrainingState, trainer: Trainer) -> None:
    learning = [weight for weight in state.model.parameters() if weight.requires_grad]
    trainer.ranks.sum_gradients(learning)
    if trainer.settings.train.embedding_l2:
        add_row_l2(learning, trainer.settings.train.embedding_l2)
    state.optimizer.step()
    state.schedule.step()
    if state.average:
        state.average.update_parameters(state.model)


def _checkpoint_if_due(state: TrainingState, trainer: Trainer, interruption: Interruption) -> None:
    ranks, done = trainer.ranks, state.schedule.last_epoch
    due = done % trainer.settings.train.checkpoint_steps == 0
    ask = ranks.size == 1 or due or done % _STEPS_BETWEEN_QUESTIONS == 0
    signal = _agreed(interruption, ranks) if ask else 0
    if not (due or signal):
        return
    state.loss, terms = ranks.sum([state.loss, float(state.terms)])
    state.terms = int(terms)
    if ranks.rank == 0:
        trainer.checkpoints.save(state)
    if ranks.rank:  # from here on rank 0 carries the sums of all
        state.loss, state.terms = 0.0, 0
    if signal:
        raise InterruptedBySignal(
            f"stopped by signal {signal} in epoch {state.epoch} after step {state.step}; a checkpoint was written, "
            "--resume auto goes on from it",
            signal,
        )


def _agreed(interruption: Interruption, ranks: Communicator) -> int:
    """The signal that any of the ranks got, 0 for none; all ranks get the same answer."""
    counts = ranks.sum([float(interruption.signal == signal) for signal in STOPPING])
    return next((int(signal) for signal, count in zip(STOPPING, counts, strict=True) if count), 0)


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
