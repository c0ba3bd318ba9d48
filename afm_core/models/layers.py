"""Dense layers of the deep models."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from afm_core.settings.model import Activation, ModelSettings, Normalisation, Precision

_ACTIVATIONS: dict[Activation, type[nn.Module]] = {"relu": nn.ReLU, "gelu": nn.GELU, "silu": nn.SiLU}
_MOMENTUM = 0.1  # as torch's


class Dense(nn.Linear):
    """A linear layer whose products may take bfloat16 factors; weights, sums and outputs are float32."""

    def __init__(self, inputs: int, outputs: int, precision: Precision, bias: bool = True) -> None:
        super().__init__(inputs, outputs, bias=bias)
        self.halved = precision == "bfloat16"

    def forward(self, inputs: Tensor) -> Tensor:
        """(B, inputs) to (B, outputs)."""
        if not self.halved:
            return functional.linear(inputs, self.weight, self.bias)
        factors = (tensor.to(torch.bfloat16) for tensor in (inputs, self.weight))
        sums = functional.linear(*factors).to(inputs.dtype)
        return sums if self.bias is None else sums + self.bias


class BatchNorm(nn.Module):
    """Batch normalisation (Ioffe and Szegedy, ICML 2015) over the rows of a step that one rank has.

    torch's own, but for two things: a single row, which has no variance, is normalised by the running statistics, and
    all buffers are statistics, so that the ranks can exchange their means.
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))
        self.register_buffer("running_mean", torch.zeros(width))
        self.register_buffer("running_var", torch.ones(width))

    def forward(self, inputs: Tensor) -> Tensor:
        """(B, width) to (B, width)."""
        by_batch = self.training and len(inputs) > 1
        statistics = self.running_mean, self.running_var
        return functional.batch_norm(inputs, *statistics, self.weight, self.bias, by_batch, _MOMENTUM)


_NORMALISATIONS: dict[Normalisation, type[nn.Module]] = {"batch": BatchNorm, "layer": nn.LayerNorm}


class Perceptron(nn.Module):
    """Hidden layers, then one linear unit.

    A hidden layer is a linear map, the normalisation of the settings if there is one, their activation, and dropout.
    """

    def __init__(self, inputs: int, settings: ModelSettings) -> None:
        super().__init__()
        hidden: list[nn.Module] = []
        for width, dropout in zip(settings.layers, settings.dropout_of_layers, strict=True):
            hidden.append(Dense(inputs, width, settings.precision))
            if settings.deep_normalisation:
                hidden.append(_NORMALISATIONS[settings.deep_normalisation](width))
            hidden += [_ACTIVATIONS[settings.deep_activation](), nn.Dropout(dropout)]
            inputs = width
        self.hidden = nn.Sequential(*hidden)
        self.output = nn.Linear(inputs, 1, bias=False)

    def forward(self, inputs: Tensor) -> Tensor:
        """(B, inputs) to (B,)."""
        output: Tensor = self.output(self.hidden(inputs)).squeeze(-1)
        return output
