"""The training loop."""

import json
import math
import time
from dataclasses import dataclass

from afm_core.errors import DivergedError, InterruptedBySignal
from afm_core.learning.calibrated_model import CalibratedModel
from afm_core.models import AFM, AnyModel
from afm_core.settings import Settings
from afm_core.storage.without_links import open_without_links
from pipelines import phases
from pipelines.feeding.on_device import on_device
from pipelines.feeding.shard_plan import RowRanges
from pipelines.training.communicator import resident_mib
from pipelines.training.context import TrainingContext
from pipelines.training.device_losses import UnreadStep, read
from pipelines.training.fitted import Best, Fit
from pipelines.training.results import Epoch, Validation
from pipelines.training.state import TrainingState, seed_step
from pipelines.training.step import compute_gradients, update
from pipelines.training.stop_signals import StopRequest, agreed_signal, stop_requests
from pipelines.training.validation import attention, calibration, mean_loss, validate, validate_start
from pipelines.training.warm_start import go_on_with

_DIVERGED_ADVICE = "lower train.learning_rate and train again, without --resume"
_STEPS_BETWEEN_STOP_CHECKS = 8  # a check whether any rank was asked to stop costs a round trip
_STEPS_BETWEEN_READINGS = {"cpu": 1, "gpu": 8}  # a GPU is idle while its losses are read


@dataclass(frozen=True)
class StepDone:
    """The context of `phases.STEP_DONE`."""

    model: str
    global_step: int
    rank: int
    stop: StopRequest

    @property
    def is_stopping(self) -> bool:
        """Whether a signal has asked the training to stop."""
        return bool(self.stop)


def fit(model: AnyModel, context: TrainingContext, resume: bool = False) -> Fit:
    """Train for `train.epochs`, or until `train.patience` epochs have not improved; keep the weights of the best epoch.

    Those that the training started from are kept where no epoch is better. All ranks end with the same weights.

    Args:
        resume: continue from the newest complete checkpoint, if there is one.

    Raises:
        InterruptedBySignal: SIGTERM or SIGINT was received; a checkpoint was written.
        CheckpointError: a checkpoint cannot be written, or was made from other settings.
        DivergedError: the loss or a weight is NaN or infinite.
    """
    settings, ranks = context.settings, context.ranks
    start = validate_start(context)
    ranks.broadcast(model.to(context.device))
    state = TrainingState.start(model, settings, context.train.plan.steps)
    if context.parent:
        context.parent.copy_optimizer_to(state.optimizer, model)
    go_on_with(context.start_optimizer, state.optimizer, model)
    _resume(state, context, resume)
    with stop_requests() as stop:
        while not _is_finished(state, settings):
            _train_epoch(state, context, stop)
    assert state.best is not None
    best = Best(state.best.number, *state.best.monitored)
    if context.start and start and start.monitored.value <= best.valid:
        best, state.best_weights = Best(0, *start.monitored), {}  # at no time more in memory than in the training
        model.load_state_dict(context.start.build().state_dict())
        ranks.broadcast(model)
    else:
        model.load_state_dict(state.best_weights)
    assert ranks.all_equal(model), "the ranks ended with different parameters"
    calibrated = CalibratedModel(model.cpu(), settings.train.task)
    if context.task.calibrated:
        calibrated.calibrate(*calibration(model, context))
    return Fit(calibrated, state.epochs, best, state.optimizer_by_name())


def _is_finished(state: TrainingState, settings: Settings) -> bool:
    if state.best is None or state.step:
        return False
    done = state.epoch - 1
    return done >= settings.train.epochs or done - state.best.number >= settings.train.patience


def _resume(state: TrainingState, context: TrainingContext, resume: bool) -> None:
    """Continue from a checkpoint. Rank 0 decides from which, if any, and all ranks read the same one."""
    checkpoint = context.checkpoints.newest() if resume and context.ranks.rank == 0 else None
    step = context.ranks.sum([float(context.checkpoints.step_of(checkpoint)) if checkpoint else 0.0])[0]
    if step:
        context.checkpoints.restore(int(step), state)
        if context.ranks.rank:  # the checkpoint holds the sums of all ranks
            state.loss, state.terms = 0.0, 0
        context.logger.training_resumed(context.name, state.epochs, state.epoch, state.step)


def _train_epoch(state: TrainingState, context: TrainingContext, stop: StopRequest) -> None:
    settings, ranks, feed = context.settings, context.ranks, context.train
    number, first, start, validating = state.epoch, state.step, time.monotonic(), 0.0
    plan = feed.plan.resume_at(state.remaining)
    state.model.train()
    batches = on_device(feed.epoch(number, state.remaining), context.device)
    between_readings = _STEPS_BETWEEN_READINGS["cpu" if context.device.type == "cpu" else "gpu"]
    mean: float | None = None
    with context.logger.epoch(context.name, number, plan.remaining_rows) as advance:
        for index, batch in enumerate(batches):
            seed_step(settings.seed, number, first + index, ranks.rank)
            rows = plan.global_rows(index)
            losses = compute_gradients(state, batch, rows, context.task, settings, ranks)
            state.unread.append(UnreadStep(first + index, plan.rest(index), losses))
            if len(state.unread) == between_readings:
                mean = _read_losses(state, context)
            update(state, settings, ranks, feed.lookups)
            state.step, state.remaining = first + index + 1, plan.rest(index + 1)
            state.rows += rows
            phases.reached(phases.STEP_DONE, StepDone(context.name, state.global_step, ranks.rank, stop))
            advance(rows, mean)
            validating += _validate_within_epoch_if_due(state, context)
            _checkpoint_if_due(state, context, stop)
    _read_losses(state, context)
    _require_finite(state, context)
    seconds = time.monotonic() - start - validating
    train_loss = mean_loss(context.task, state.loss, state.terms, ranks)
    valid, valid_step = state.best_of_epoch(_validated(state, context))
    epoch = Epoch(
        model=context.name,
        number=number,
        steps=state.step,
        rows=state.rows,
        metric=context.task.monitor,
        train=train_loss,
        valid=valid.loss,
        auc=valid.auc,
        valid_step=valid_step,
        rows_per_second=plan.remaining_rows / seconds,
        feed_wait=batches.waited / seconds,
        learning_rate=float(state.schedule.get_last_lr()[0]),
        resident_mib=resident_mib(ranks),
    )
    assert state.rows == feed.plan.rows, f"{state.rows} rows in epoch {number}, the split has {feed.plan.rows}"
    is_best = state.epoch_done(epoch)
    if isinstance(state.model, AFM):
        context.logger.attention(number, attention(state.validated, context))
    context.logger.epoch_done(epoch, is_best)
    if ranks.rank == 0:
        context.checkpoints.save(state)


def _validated(state: TrainingState, context: TrainingContext) -> Validation:
    valid = validate(state.validated, context)
    if not math.isfinite(valid.loss):
        raise DivergedError(
            f"the validation loss is {valid.loss} after step {state.step} of epoch {state.epoch}; {_DIVERGED_ADVICE}"
        )
    return valid


def _validate_within_epoch_if_due(state: TrainingState, context: TrainingContext) -> float:
    """Validate every `train.validate_steps` steps but the last of an epoch. Returns the seconds that it took."""
    start, every = time.monotonic(), context.settings.train.validate_steps
    if not every or state.global_step % every or not state.remaining:
        return 0.0
    _read_losses(state, context)
    _require_finite(state, context)
    state.validated_within_epoch(_validated(state, context))
    state.model.train()
    return time.monotonic() - start


def _read_losses(state: TrainingState, context: TrainingContext) -> float | None:
    """Read the losses of the steps since the last reading, and add them up. Returns the mean of the last step.

    Raises:
        DivergedError: one is NaN or infinite.
    """
    numbers = iter(read([loss for step in state.unread for loss in step.losses]))
    mean = None
    for step in state.unread:
        parts = [next(numbers) for _ in step.losses]
        loss, terms = sum(part for part, _ in parts), sum(terms for _, terms in parts)
        if not math.isfinite(loss):
            raise _diverged(context, state.epoch, step.step, step.remaining)
        state.loss, state.terms, mean = state.loss + loss, state.terms + terms, loss / max(1, terms)
    state.unread = []
    return mean


def _diverged(context: TrainingContext, epoch: int, step: int, remaining: RowRanges) -> DivergedError:
    """Read the batch again, with its row keys, and write them to a file for debugging."""
    keys = next(context.train.with_row_keys().epoch(epoch, remaining)).row_key
    assert keys is not None
    path = context.settings.run.work / f"diverged-rank-{context.ranks.rank}.json"
    with open(path, "w", encoding="utf-8", opener=open_without_links) as file:
        file.write(json.dumps({"epoch": epoch, "step": step, "row_keys": keys.tolist()}) + "\n")
    # On GPUs the other ranks have taken the step, too, before they see its effect.
    first = "; if another rank names an earlier step, look there" if context.device.type != "cpu" else ""
    return DivergedError(
        f"the loss is not finite in epoch {epoch}, step {step}; the row keys of the batch are in {path}{first}; check "
        f"the x_i of those rows, or {_DIVERGED_ADVICE}"
    )


def _require_finite(state: TrainingState, context: TrainingContext) -> None:
    """Check the weights, which a step can spoil though its loss was finite, before they are validated or saved.

    Raises:
        DivergedError: some are NaN or infinite. The ranks have the same weights, so each of them raises it.
    """
    spoiled = [name for name, weight in state.model.named_parameters() if not weight.isfinite().all()]
    if spoiled:
        raise DivergedError(
            f"{context.name}: {spoiled[0]} is not finite after step {state.step} of epoch "
            f"{state.epoch}; {_DIVERGED_ADVICE}"
        )


def _checkpoint_if_due(state: TrainingState, context: TrainingContext, stop: StopRequest) -> None:
    ranks, steps = context.ranks, state.global_step
    due = steps % context.settings.train.checkpoint_steps == 0
    check = ranks.size == 1 or due or steps % _STEPS_BETWEEN_STOP_CHECKS == 0
    signal = agreed_signal(stop, ranks) if check else 0
    if not (due or signal):
        return
    _read_losses(state, context)
    _require_finite(state, context)
    state.loss, terms = ranks.sum([state.loss, float(state.terms)])
    state.terms = int(terms)
    if ranks.rank == 0:
        context.checkpoints.save(state)
    if ranks.rank:  # rank 0 now holds the sums of all ranks
        state.loss, state.terms = 0.0, 0
    ranks.checkpoint_written()
    if signal:
        raise InterruptedBySignal(
            f"stopped by signal {signal} in epoch {state.epoch} after step {state.step}; a checkpoint was written; "
            "continue with --resume auto",
            signal,
        )
