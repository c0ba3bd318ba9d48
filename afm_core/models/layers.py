"""The dense layers of the deep models."""

from collections.abc import Sequence

from torch import Tensor, nn


class Perceptron(nn.Module):
    """Layers of ReLU units with dropout after each, then one linear unit."""

    def __init__(self, inputs: int, layers: Sequence[int], dropout: float) -> None:
        super().__init__()
        hidden: list[nn.Module] = []
        for width in layers:
            hidden += [nn.Linear(inputs, width), nn.ReLU(), nn.Dropout(dropout)]
            inputs = width
        self.hidden = nn.Sequential(*hidden)
        self.output = nn.Linear(inputs, 1, bias=False)

    def forward(self, inputs: Tensor) -> Tensor:
        """(B, inputs) to (B,)."""
        found: Tensor = self.output(self.hidden(inputs)).squeeze(-1)
        return found
