"""Dense layers of the deep models."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from afm_core.settings.model import Precision


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


class Perceptron(nn.Module):
    """ReLU layers, each followed by dropout, then one linear unit."""

    def __init__(self, inputs: int, layers: Sequence[int], dropout: float, precision: Precision) -> None:
        super().__init__()
        hidden: list[nn.Module] = []
        for width in layers:
            hidden += [Dense(inputs, width, precision), nn.ReLU(), nn.Dropout(dropout)]
            inputs = width
        self.hidden = nn.Sequential(*hidden)
        self.output = nn.Linear(inputs, 1, bias=False)

    def forward(self, inputs: Tensor) -> Tensor:
        """(B, inputs) to (B,)."""
        output: Tensor = self.output(self.hidden(inputs)).squeeze(-1)
        return output
