"""A moving average of a model's weights."""

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel


class MovingAverage(AveragedModel):
    """torch's exponential moving average, without its copy to the device in every step, for which a GPU is waited."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        super().__init__(model)
        self._decay = decay

    @torch.no_grad()
    def update_parameters(self, model: nn.Module) -> None:
        """Move the average towards the weights of `model`; the first time, copy them."""
        averages: list[Tensor] = list(self.module.parameters())
        weights: list[Tensor] = list(model.parameters())
        if int(self.n_averaged):  # lies on the host
            torch._foreach_lerp_(averages, weights, 1.0 - self._decay)
        else:
            torch._foreach_copy_(averages, weights)
        for kept, buffer in zip(self.module.buffers(), model.buffers(), strict=True):  # averages themselves
            kept.copy_(buffer)
        self.n_averaged += 1
