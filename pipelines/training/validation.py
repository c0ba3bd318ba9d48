"""Evaluating a model during training: its validation result, its attention, and its calibration."""

import math

import numpy as np
import torch
from torch import Tensor

from afm_core.errors import DatasetError
from afm_core.learning.calibration import FitLine, fit_platt
from afm_core.learning.metrics.auc import auc
from afm_core.learning.metrics.scored import Scored
from afm_core.learning.tasks import Task
from afm_core.models import AFM, AnyModel
from pipelines.feeding.on_device import on_device
from pipelines.training.communicator import Communicator
from pipelines.training.context import TrainingContext
from pipelines.training.device_losses import read
from pipelines.training.results import Validation


def validate(model: AnyModel, context: TrainingContext) -> Validation:
    """Validate a model, a classifier as it would be published: calibrated on these rows.

    Training makes classifiers overconfident while they still get better at telling positives from negatives; the loss
    of their uncalibrated outputs would stop it too early.

    Cost: an evaluation of the split; for a classifier some ten passes over its outputs, two numbers per row of a rank;
    with AUC, those of all ranks on every rank, and a sort of them.

    Raises:
        DatasetError: AUC is monitored, and all validation rows have the same label.
    """
    model.eval()
    task, with_auc = context.task, context.settings.train.monitor == "auc"
    unread, scored = [], []
    with torch.inference_mode():
        for batch in on_device(context.valid.epoch(0), context.device):
            output = model(batch.encoded)
            if not task.calibrated:
                unread.append(task.loss(task.validated(output), batch.label, None))
            if task.calibrated or with_auc:
                scored.append(torch.stack([output, batch.label], dim=1))
    if task.calibrated:
        unread = [_calibrated_loss(torch.cat(scored).cpu(), context)]
    losses = read(unread)
    total, count = sum(loss for loss, _ in losses), sum(terms for _, terms in losses)
    # Outside of inference mode, in which Horovod's own thread could not write the rows of the others.
    area = _auc(context.ranks.gather(torch.cat(scored)), context) if with_auc else None
    return Validation(task.monitor, mean_loss(task, total, count, context.ranks), area)


def _calibrated_loss(scored: Tensor, context: TrainingContext) -> tuple[Tensor, int | Tensor]:
    output, label = scored.unbind(1)
    slope, intercept = fit_platt(output.numpy(), label.numpy(), context.ranks.sum)
    return context.task.loss(slope * output + intercept, label, None)


def _auc(scored: Tensor, context: TrainingContext) -> float:
    output, label = scored.cpu().unbind(1)
    area = auc(Scored(output.numpy(), label.numpy()))
    if math.isnan(area) and output.isfinite().all():
        raise DatasetError(
            f"{context.settings.dataset.path}: all labels of its valid split are the same, so that train.monitor: auc "
            "has nothing to compare; split the logs otherwise, or monitor the loss"
        )
    return area


def validate_start(context: TrainingContext) -> Validation | None:
    """The results of what the training starts from; None if it starts at random, or its loss is not finite."""
    if context.start is None:
        return None
    model = context.start.build().to(context.device)
    context.ranks.broadcast(model)
    valid = validate(model, context)
    context.logger.start_validated(context.name, context.start.name, context.task.monitor, valid.loss)
    return valid if math.isfinite(valid.loss) else None


@torch.inference_mode()
def attention(model: AnyModel, context: TrainingContext) -> Tensor:
    """Attention weights of the first validation batch times the number of pairs: 1 where attention is uniform."""
    assert isinstance(model, AFM)
    batch = next(context.valid.epoch(0)).to(context.device).encoded
    weights = model.attend(batch)[1]
    assert weights is not None
    return weights.cpu() * weights.shape[1]


@torch.inference_mode()
def calibration(model: AnyModel, context: TrainingContext, fit_line: FitLine = fit_platt) -> tuple[float, float]:
    """Slope and intercept that fit the outputs of all ranks' validation rows to their labels, on the CPU."""
    model.eval()
    parts = [(model(batch.encoded).numpy(), batch.label.numpy()) for batch in context.valid.epoch(0)]
    output, label = (np.concatenate(column) for column in zip(*parts, strict=True))
    return fit_line(output, label, context.ranks.sum)


def mean_loss(task: Task, total: float, count: int, ranks: Communicator) -> float:
    """The metric of the task, from the sum of each rank's losses and their number."""
    total, terms = ranks.sum([total, float(count)])
    return task.of_mean(total / max(1.0, terms))
