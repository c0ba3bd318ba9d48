"""The training loop."""

import json
import math
import time
from dataclasses import dataclass

import psutil
from torch import Tensor

from afm_core.errors import DivergedError, InterruptedBySignal
from afm_core.learning.calibrated_model import CalibratedModel
from afm_core.learning.optimisers import add_row_l2
from afm_core.models import AFM, AnyModel, penalty
from afm_core.settings import Settings
from pipelines import phases
from pipelines.feeding.batch import Batch
from pipelines.feeding.shard_plan import Stretches
from pipelines.training.communicator import Communicator
from pipelines.training.context import TrainingContext
from pipelines.training.state import TrainingState, seed_step
from pipelines.training.stop_signals import STOPPING, Interruption, interruptible
from pipelines.training.training_logger import Epoch
from pipelines.training.validation import attention, calibration, mean_loss, on_device, validate

_STEPS_BETWEEN_QUESTIONS = 8  # asking all ranks whether one was told to stop costs a round trip


@dataclass(frozen=True)
class StepDone:
    """What `phases.STEP_DONE` is about."""

    model: str
    global_step: int
    rank: int
    interruption: Interruption

    @property
    def is_stopping(self) -> bool:
        """Whether a signal has asked the training to stop."""
        return bool(self.interruption)


@dataclass(frozen=True)
class Fit:
    """A finished training."""

    predictor: CalibratedModel
    """Holds the weights of `best`."""
    epochs: list[Epoch]
    best: Epoch
    optimizer: dict[str, Tensor]
    """What it knew at the end, by parameter."""


def fit(model: AnyModel, context: TrainingContext, resume: bool = False) -> Fit:
    """Train until `train.epochs`, or until `train.patience` epochs brought nothing better; keep the best epoch.

    Every rank leaves with the same weights.

    Args:
        resume: go on from the newest whole checkpoint, if there is one.

    Raises:
        InterruptedBySignal: SIGTERM or SIGINT came; a checkpoint was written.
        CheckpointError: a checkpoint cannot be written, or is of other settings.
        DivergedError: the loss is not a number.
    """
    settings, ranks = context.settings, context.ranks
    ranks.broadcast(model.to(context.device))
    state = TrainingState.start(model, settings, context.train.plan.steps)
    if context.parent:
        context.parent.give_optimizer(state.optimizer, model)
    _resume(state, context, resume)
    with interruptible() as interruption:
        while not _over(state, settings):
            _train_epoch(state, context, interruption)
    assert state.best is not None
    model.load_state_dict(state.best_weights)
    assert ranks.all_equal(model), "the ranks ended with different parameters"
    predictor = CalibratedModel(model.cpu(), settings.train.task)
    if context.task.calibrated:
        predictor.calibrate(*calibration(model, context))
    return Fit(predictor, state.epochs, state.best, state.optimizer_by_name())


def _over(state: TrainingState, settings: Settings) -> bool:
    if state.best is None or state.step:
        return False
    done = state.epoch - 1
    return done >= settings.train.epochs or done - state.best.number >= settings.train.patience


def _resume(state: TrainingState, context: TrainingContext, resume: bool) -> None:
    """Rank 0 decides whether, and from which checkpoint; the others read the same one, if they were to or not."""
    found = context.checkpoints.newest() if resume and context.ranks.rank == 0 else None
    step = context.ranks.sum([float(context.checkpoints.step_of(found)) if found else 0.0])[0]
    if step:
        context.checkpoints.restore(int(step), state)
        if context.ranks.rank:  # the checkpoint holds the sums of all ranks
            state.loss, state.terms = 0.0, 0
        context.logger.resumes(context.settings.model.name, state.epochs, state.epoch, state.step)


def _train_epoch(state: TrainingState, context: TrainingContext, interruption: Interruption) -> None:
    settings, ranks, feed = context.settings, context.ranks, context.train
    number, first, start = state.epoch, state.step, time.monotonic()
    plan = feed.plan.resume_at(state.remaining)
    state.model.train()
    batches = on_device(feed.epoch(number, state.remaining), context.device)
    with context.logger.epoch(settings.model.name, number, plan.remaining_rows) as advance:
        for at, batch in enumerate(batches):
            seed_step(settings.seed, number, first + at, ranks.rank)
            rows = plan.global_rows(at)
            loss, terms = _gradients(state, context, batch, rows)
            if not math.isfinite(loss):
                raise _diverged(context, number, first + at, plan.rest(at))
            _step(state, context)
            state.step, state.remaining = first + at + 1, plan.rest(at + 1)
            state.rows, state.loss, state.terms = state.rows + rows, state.loss + loss, state.terms + terms
            phases.reached(phases.STEP_DONE, StepDone(settings.model.name, state.global_step, ranks.rank, interruption))
            advance(rows, loss / max(1, terms))
            _checkpoint_if_due(state, context, interruption)
    seconds = time.monotonic() - start
    train_loss = mean_loss(context.task, state.loss, state.terms, ranks)
    valid_loss = validate(state.validated, context)
    epoch = Epoch(
        model=settings.model.name,
        number=number,
        steps=state.step,
        rows=state.rows,
        metric=context.task.monitor,
        train=train_loss,
        valid=valid_loss,
        rows_per_second=plan.remaining_rows / seconds,
        feed_wait=batches.waited / seconds,
        learning_rate=float(state.schedule.get_last_lr()[0]),
        resident_mib=_resident(ranks),
    )
    assert state.rows == feed.plan.rows, f"{state.rows} rows in epoch {number}, the split has {feed.plan.rows}"
    is_best = state.epoch_done(epoch)
    if isinstance(state.model, AFM):
        context.logger.attention(number, attention(state.validated, context))
    context.logger.epoch_done(epoch, is_best)
    if ranks.rank == 0:
        context.checkpoints.save(state)


def _resident(ranks: Communicator) -> list[int]:
    own = psutil.Process().memory_info().rss / 2**20
    return [round(size) for size in ranks.sum([own if rank == ranks.rank else 0.0 for rank in range(ranks.size)])]


def _gradients(state: TrainingState, context: TrainingContext, batch: Batch, rows: int) -> tuple[float, int]:
    """Leave the gradients of this rank's share of a step of `rows` rows; the sum of its losses, and of how many."""
    state.optimizer.zero_grad()
    total, count = 0.0, 0
    extra = penalty(state.model, context.settings.model) / context.ranks.size
    for part in batch.parts(context.settings.train.micro_batches):
        loss, terms = context.task.loss(state.model(part.encoded), part.label, part.weight)
        (loss / rows + extra).backward()  # type: ignore[no-untyped-call]
        total, count, extra = total + loss.item(), count + terms, 0.0
    return total, count


def _diverged(context: TrainingContext, epoch: int, step: int, remaining: Stretches) -> DivergedError:
    """Read the batch again, with its keys, and write them down for whoever looks into it."""
    keys = next(context.train.with_row_keys().epoch(epoch, remaining)).row_key
    assert keys is not None
    path = context.settings.run.path / f"diverged-rank-{context.ranks.rank}.json"
    path.write_text(json.dumps({"epoch": epoch, "step": step, "row_keys": keys.tolist()}) + "\n", encoding="utf-8")
    return DivergedError(
        f"the loss is not a number in epoch {epoch}, step {step}; the row keys of the batch are in {path}; lower "
        "train.learning_rate, or look at the x_i of those rows, and go on with --resume auto"
    )


def _step(state: TrainingState, context: TrainingContext) -> None:
    learning = [weight for weight in state.model.parameters() if weight.requires_grad]
    compress, exchange = context.settings.train.compress_gradients, context.settings.train.gradient_exchange
    context.ranks.sum_gradients(learning, compress, context.train.lookups if exchange == "auto" else None)
    if context.settings.train.embedding_l2:
        add_row_l2(learning, context.settings.train.embedding_l2)
    state.optimizer.step()
    state.schedule.step()
    if state.average:
        state.average.update_parameters(state.model)


def _checkpoint_if_due(state: TrainingState, context: TrainingContext, interruption: Interruption) -> None:
    ranks, done = context.ranks, state.global_step
    due = done % context.settings.train.checkpoint_steps == 0
    ask = ranks.size == 1 or due or done % _STEPS_BETWEEN_QUESTIONS == 0
    signal = _agreed(interruption, ranks) if ask else 0
    if not (due or signal):
        return
    state.loss, terms = ranks.sum([state.loss, float(state.terms)])
    state.terms = int(terms)
    if ranks.rank == 0:
        context.checkpoints.save(state)
    if ranks.rank:  # from here on rank 0 carries the sums of all
        state.loss, state.terms = 0.0, 0
    ranks.checkpointed()
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
