"""The moving average is torch's."""

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from afm_core.learning.moving_average import MovingAverage


def test_the_average_equals_torchs_bit_for_bit() -> None:
    model = nn.Linear(5, 3)
    ours, torchs = MovingAverage(model, 0.9), AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.9))
    for _ in range(4):
        with torch.no_grad():
            model.weight.normal_()
        ours.update_parameters(model)
        torchs.update_parameters(model)
    assert all(torch.equal(value, torchs.state_dict()[name]) for name, value in ours.state_dict().items())
    assert not torch.equal(ours.module.weight, model.weight)
