"""Evaluating a model during training: its validation loss, its attention, and its calibration."""

import math

import numpy as np
import torch
from torch import Tensor

from afm_core.learning.calibration import fit_platt
from afm_core.learning.tasks import Task
from afm_core.models import AFM, AnyModel
from pipelines.feeding.on_device import on_device
from pipelines.training.communicator import Communicator
from pipelines.training.context import TrainingContext
from pipelines.training.device_losses import read


@torch.inference_mode()
def validate(model: AnyModel, context: TrainingContext) -> float:
    """The validation metric of the task over all rows of all ranks."""
    model.eval()
    task = context.task
    losses = read(
        [
            task.loss(task.validated(model(batch.encoded)), batch.label, None)
            for batch in on_device(context.valid.epoch(0), context.device)
        ]
    )
    total, count = sum(loss for loss, _ in losses), sum(terms for _, terms in losses)
    return mean_loss(task, total, count, context.ranks)


def validate_start(context: TrainingContext) -> float | None:
    """The validation metric of what the training starts from; None if it starts at random, or that is not finite."""
    if context.start is None:
        return None
    model = context.start.build().to(context.device)
    context.ranks.broadcast(model)
    valid = validate(model, context)
    context.logger.start_validated(context.settings.model.name, context.start.name, context.task.monitor, valid)
    return valid if math.isfinite(valid) else None


@torch.inference_mode()
def attention(model: AnyModel, context: TrainingContext) -> Tensor:
    """Attention weights of the first validation batch times the number of pairs: 1 where attention is uniform."""
    assert isinstance(model, AFM)
    batch = next(context.valid.epoch(0)).to(context.device).encoded
    weights = model.attend(batch)[1]
    assert weights is not None
    return weights.cpu() * weights.shape[1]


@torch.inference_mode()
def calibration(model: AnyModel, context: TrainingContext) -> tuple[float, float]:
    """Slope and intercept that fit the outputs of all ranks' validation rows to their labels, on the CPU."""
    model.eval()
    parts = [(model(batch.encoded).numpy(), batch.label.numpy()) for batch in context.valid.epoch(0)]
    output, label = (np.concatenate(column) for column in zip(*parts, strict=True))
    return fit_platt(output, label, context.ranks.sum)


def mean_loss(task: Task, total: float, count: int, ranks: Communicator) -> float:
    """The metric of the task, from the sum of each rank's losses and their number."""
    total, terms = ranks.sum([total, float(count)])
    return task.of_mean(total / max(1.0, terms))
