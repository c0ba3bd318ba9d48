"""Fitting an FM by Gibbs sampling, in place of the training loop."""

import math
import time

import numpy as np
import psutil
import torch

from afm_core.errors import DivergedError, InterruptedBySignal, MachineError
from afm_core.learning.calibrated_model import CalibratedModel
from afm_core.learning.calibration import fit_clipped, fit_platt
from afm_core.learning.gibbs import GibbsSampler, PosteriorMean, TrainingRows
from afm_core.models import FM
from afm_core.settings import Settings
from pipelines.feeding.feed import Feed
from pipelines.training.communicator import Communicator, resident_mib
from pipelines.training.context import TrainingContext
from pipelines.training.device_losses import read
from pipelines.training.fitted import Best, Fit
from pipelines.training.results import Epoch
from pipelines.training.stop_signals import StopRequest, agreed_signal, stop_requests
from pipelines.training.validation import calibration, mean_loss, validate

_PARTS, _BURN_IN_PARTS = 10, 3
"""The sweeps are reported in ten parts; the draws of the first three, still on their way, are not averaged."""
_SHORT, _LONGEST, _SHARE_OF_K = 8, 16, 4
"""Vectors of the draws are a quarter as long as those of their mean, but 8 to 16 where these are no shorter: a mean of
draws needs longer vectors than each of them, and longer draws need many more sweeps."""
_BYTES_PER_X, _BYTES_PER_ROW = 32, 32  # while the rows are sorted by feature; half of it afterwards


def is_sampled(settings: Settings) -> bool:
    """Whether the model of the settings is fitted by Gibbs sampling."""
    return settings.train.fit == "gibbs"


def sample(model: FM, context: TrainingContext) -> Fit:
    """Fit an FM to the mean of draws from its posterior. Rank 0 samples; all ranks validate and end with the same FM.

    Labels of two values are sampled as a probit, whatever the task: normal noise would be the wrong model for them. A
    slope and an intercept, fitted on the validation split, bring its outputs to the scale of log odds (classification)
    or of the labels (regression). An interrupted sampling begins anew, with the same draws.

    Raises:
        InterruptedBySignal: SIGTERM or SIGINT was received.
        MachineError: the kernels are not compiled, or the rows do not fit in memory.
        DivergedError: the validation loss is NaN or infinite.
    """
    settings, ranks, rows = context.settings, context.ranks, context.train.plan.rows
    sampler = _sampler(context) if ranks.rank == 0 else None
    mean = None
    epochs: list[Epoch] = []
    with stop_requests() as stop:
        for part in range(1, _PARTS + 1):
            began = time.monotonic()
            sweeps = settings.train.sweeps * part // _PARTS - settings.train.sweeps * (part - 1) // _PARTS
            if sampler and part <= _BURN_IN_PARTS + 1:
                mean = PosteriorMean(sampler, settings.model.embedding_dim)
            with context.logger.epoch(context.name, part, rows * sweeps) as advance:
                for _ in range(sweeps):
                    if sampler and mean:
                        sampler.sweep()
                        mean.add(sampler)
                    _require_no_signal(stop, ranks)
                    advance(rows, None)
            seconds = time.monotonic() - began
            if mean:
                with torch.no_grad():
                    mean.write_to(model.factors.bias, model.factors.linear.weight, model.factors.embedding.weight)
            slope, intercept = _share(model, context)
            epochs.append(_validated(model, context, part, sweeps, seconds, sampler, slope, intercept))
            context.logger.epoch_done(epochs[-1], part > _BURN_IN_PARTS)
    assert ranks.all_equal(model), "the ranks ended with different parameters"
    calibrated = CalibratedModel(model.cpu(), settings.train.task)
    if context.task.calibrated:
        calibrated.calibrate(*calibration(model, context))
    return Fit(calibrated, epochs, Best(_PARTS, *epochs[-1].monitored), {})


def _sampler(context: TrainingContext) -> GibbsSampler:
    settings, rows = context.settings, context.train.plan.rows
    needed = rows * (len(context.train.value_index) * _BYTES_PER_X + _BYTES_PER_ROW)
    free = psutil.virtual_memory().available
    if needed > free:
        raise MachineError(
            f"train.fit: gibbs holds all {rows:,} training rows in memory, which needs "
            f"{needed / 2**30:.1f} GiB, and {free / 2**30:.1f} GiB are free; fit by gradient, or use a larger machine"
        )
    return GibbsSampler(
        context.train.feature_map,
        _training_rows(context.train.of_all_ranks()),
        length=_length_of_draws(settings.model.embedding_dim),
        probit=_has_two_labels(settings),
        seed=settings.seed,
    )


def _has_two_labels(settings: Settings) -> bool:
    return settings.label.range is None


def _length_of_draws(k: int) -> int:
    return max(min(k, _SHORT), min(k // _SHARE_OF_K, _LONGEST))


def _training_rows(feed: Feed) -> TrainingRows:
    batches = list(feed.epoch(0))
    return TrainingRows(
        np.concatenate([batch.encoded.ids.numpy().astype(np.int32) for batch in batches]),
        np.concatenate([(batch.encoded.values * batch.encoded.mask).numpy() for batch in batches]),
        np.concatenate([batch.label.numpy() for batch in batches]),
    )


def _require_no_signal(stop: StopRequest, ranks: Communicator) -> None:
    """Also tells the other ranks, which wait, that rank 0 is alive."""
    signal = agreed_signal(stop, ranks)
    if signal:
        raise InterruptedBySignal(
            f"stopped by signal {signal} during Gibbs sampling, which begins anew with --resume auto", signal
        )


def _share(model: FM, context: TrainingContext) -> tuple[float, float]:
    """Give all ranks the model of rank 0, on the scale of the task. Returns the slope and intercept."""
    context.ranks.broadcast(model.to(context.device))
    slope, intercept = 1.0, 0.0
    if _has_two_labels(context.settings):
        slope, intercept = calibration(model.cpu(), context, fit_platt if context.task.calibrated else fit_clipped)
    if slope <= 0.0:  # of outputs that tell nothing
        slope, intercept = 1.0, 0.0
    factors = model.factors
    with torch.no_grad():
        factors.bias.mul_(slope).add_(intercept)
        factors.linear.weight.mul_(slope)
        factors.embedding.weight.mul_(math.sqrt(slope))
    model.to(context.device)
    return slope, intercept


def _validated(
    model: FM,
    context: TrainingContext,
    part: int,
    sweeps: int,
    seconds: float,
    sampler: GibbsSampler | None,
    slope: float,
    intercept: float,
) -> Epoch:
    """The results of some sweeps: of the mean of the draws, and for the training rows of the last draw."""
    task, ranks, losses = context.task, context.ranks, (0.0, 0)
    if sampler:
        output = torch.from_numpy(slope * sampler.output + intercept).float()
        (losses,) = read([task.loss(task.validated(output), sampler.label, None)])
    train, valid = mean_loss(task, *losses, ranks), validate(model, context)
    if not math.isfinite(valid.loss):
        raise DivergedError(f"the validation loss is {valid.loss} in part {part} of the sweeps; check the x_i")
    return Epoch(
        model=context.name,
        number=part,
        steps=sweeps,
        rows=sweeps * context.train.plan.rows,
        metric=task.monitor,
        train=train,
        valid=valid.loss,
        auc=valid.auc,
        rows_per_second=sweeps * context.train.plan.rows / seconds,
        feed_wait=0.0,
        learning_rate=0.0,
        resident_mib=resident_mib(ranks),
    )
