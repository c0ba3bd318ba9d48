"""One step of a training. Nothing in it waits for a GPU."""

import torch

from afm_core.learning.gradients import add_lookup_l2, clip
from afm_core.learning.tasks import Task
from afm_core.models import add_penalty_gradient
from afm_core.settings import Settings
from pipelines.feeding.batch import Batch
from pipelines.training.communicator import Communicator
from pipelines.training.device_losses import DeviceLoss
from pipelines.training.state import TrainingState


def compute_gradients(
    state: TrainingState, batch: Batch, rows: int, task: Task, settings: Settings, ranks: Communicator
) -> list[DeviceLoss]:
    """Compute the gradients of this rank's share of a step of `rows` rows. Returns the losses of each part of it."""
    state.optimizer.zero_grad()
    losses: list[DeviceLoss] = []
    for part in batch.parts(settings.train.micro_batches):
        loss, terms = task.loss(state.model(part.encoded), part.label, part.weight)
        loss.backward(torch.full_like(loss, 1.0 / rows))  # type: ignore[no-untyped-call]
        losses.append((loss.detach(), terms))
    add_penalty_gradient(state.model, settings.model, ranks.size)
    if settings.train.embedding_l2 and settings.train.embedding_l2_counts == "lookups":
        add_lookup_l2(state.model.parameters(), settings.train.embedding_l2 / rows)
    return losses


def update(state: TrainingState, settings: Settings, ranks: Communicator, lookups: int) -> None:
    """Add up the gradients of all ranks, average their statistics, and take the optimiser's step.

    Args:
        lookups: upper bound of the ids that a rank looks up in a step.
    """
    trainable = [weight for weight in state.model.parameters() if weight.requires_grad]
    exchange = lookups if settings.train.gradient_exchange == "auto" else None
    ranks.sum_gradients(trainable, settings.train.compress_gradients, exchange)
    ranks.average(list(state.model.buffers()))
    if settings.train.clip_norm:
        clip(trainable, settings.train.clip_norm)
    state.optimizer.step()
    state.schedule.step()
    if state.average:
        state.average.update_parameters(state.model)
