"""Dense layers against torch's own."""

from typing import Any

import pytest
import torch
from torch import nn

from afm_core.models.layers import BatchNorm, Perceptron
from afm_core.settings.model import ModelSettings


def perceptron(**options: Any) -> Perceptron:
    torch.manual_seed(0)
    return Perceptron(5, ModelSettings.model_validate({"name": "deepfm", "layers": (7, 4), **options}))


NORMALISATIONS = {None: None, "batch": nn.BatchNorm1d, "layer": nn.LayerNorm}
ACTIVATIONS = {"relu": nn.ReLU, "gelu": nn.GELU, "silu": nn.SiLU}


@pytest.mark.parametrize("normalisation", NORMALISATIONS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_a_perceptron_is_that_of_plain_torch(normalisation: str | None, activation: str) -> None:
    """In training and afterwards, outputs, gradients and running statistics."""
    ours = perceptron(deep_normalisation=normalisation, deep_activation=activation)
    norm, plain = NORMALISATIONS[normalisation], []
    for inputs, width in ((5, 7), (7, 4)):
        plain += [nn.Linear(inputs, width), *([norm(width)] if norm else []), ACTIVATIONS[activation]()]
    peer = nn.Sequential(*plain, nn.Linear(4, 1, bias=False))
    for own, other in zip(ours.parameters(), peer.parameters(), strict=True):
        other.data.copy_(own)
    rows = torch.randn(9, 5)
    for _ in range(3):
        for model in (ours, peer):
            model.zero_grad()
            model(rows).square().sum().backward()
    for own, other in zip(ours.parameters(), peer.parameters(), strict=True):
        torch.testing.assert_close(own.grad, other.grad)
    torch.testing.assert_close(ours.eval()(rows), peer.eval()(rows).squeeze(-1))


def test_a_single_row_is_normalised_by_the_running_statistics() -> None:
    layer = BatchNorm(3)
    layer(torch.randn(8, 3))
    before, row = {name: tensor.clone() for name, tensor in layer.state_dict().items()}, torch.randn(1, 3)
    in_training = layer(row)
    assert torch.equal(in_training, layer.eval()(row))
    assert all(torch.equal(tensor, before[name]) for name, tensor in layer.state_dict().items())


def test_each_layer_has_its_dropout() -> None:
    rates = [module.p for module in perceptron(deep_dropout=(0.5, 0.25)).hidden if isinstance(module, nn.Dropout)]
    assert rates == [0.5, 0.25]
    assert [module.p for module in perceptron(deep_dropout=0.1).hidden if isinstance(module, nn.Dropout)] == [0.1] * 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layers": (7, 4), "deep_dropout": (0.1,)}, "deep_dropout has 1 rates for 2 layers"),
        ({"name": "deep_cross", "layers": (7,), "deep_dropout": (0.1,)}, "one number for deep_cross"),
        ({"deep_dropout": (0.1, 1.0)}, "less than 1"),
    ],
)
def test_rates_that_do_not_fit(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ModelSettings.model_validate(options)


def test_normalisations_learn_and_keep_no_other_buffers() -> None:
    model = perceptron(deep_normalisation="batch")
    assert {name.rsplit(".", 1)[1] for name, _ in model.named_buffers()} == {"running_mean", "running_var"}
    model(torch.randn(6, 5)).sum().backward()
    assert all(weight.grad is not None for weight in model.parameters())
