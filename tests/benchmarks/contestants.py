"""One contestant of the pair attention benchmark, in its own process: `python -m tests.benchmarks.contestants NAME`.

Answers a JSON line for each it reads: {"m", "k", "rows", "task": "training" or "inference", "seconds", "threads"}.
It runs in our environment or in the peers'; what only one of them has is imported where it is used.
"""

import json
import resource
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from tests.benchmarks.measuring import DEVICE, Step, peak_mib, rate

FEATURES = 5382  # Frappe's, divided between the fields: small, which favours those whose optimiser passes over all


class Shape(NamedTuple):
    m: int
    k: int
    rows: int

    @property
    def per_field(self) -> int:
        return FEATURES // self.m

    @property
    def pairs(self) -> int:
        return self.m * (self.m - 1) // 2


def draw(shape: Shape) -> tuple[Tensor, Tensor]:
    """Ids (rows, m) counted from 0 in each field, and labels of -1 and 1."""
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(0, shape.per_field, (shape.rows, shape.m), generator=generator)
    return ids.to(DEVICE), (torch.rand(shape.rows, generator=generator).round() * 2 - 1).to(DEVICE)


def global_ids(ids: Tensor, shape: Shape) -> Tensor:
    return ids + torch.arange(shape.m, device=ids.device) * shape.per_field


def steps(model: nn.Module, predict: Step, labels: Tensor, optimizer: torch.optim.Optimizer) -> dict[str, Step]:
    def train() -> None:
        optimizer.zero_grad()
        torch.nn.functional.mse_loss(predict().reshape(-1), labels).backward()
        optimizer.step()

    def infer() -> None:
        with torch.inference_mode():
            predict()

    return {"training": train, "inference": infer}


def ours(shape: Shape, precision: str, kernel: str = "auto") -> tuple[nn.Module, dict[str, Step]]:
    from afm_core.learning.optimisers import build_optimizer
    from afm_core.models import EncodedBatch, build_model
    from afm_core.models import Shape as ModelShape
    from afm_core.settings.model import ModelSettings
    from afm_core.settings.train import TrainSettings

    settings = ModelSettings(
        name="afm", embedding_dim=shape.k, attention_dim=shape.k, precision=precision, kernel=kernel
    )
    model = build_model(settings, ModelShape(FEATURES + 1, shape.m)).to(DEVICE)
    ids, labels = draw(shape)
    ids = global_ids(ids, shape) + 1
    optimizer = build_optimizer(model.parameters(), TrainSettings())
    return model, steps(model, lambda: model(EncodedBatch.of_ids(ids)), labels, optimizer)


class Plain(nn.Module):
    """The paper's model as one writes it down in torch, around our reference operator."""

    def __init__(self, shape: Shape, attend: Callable[..., Any]) -> None:
        super().__init__()
        self.embedding = nn.Embedding(FEATURES, shape.k)
        self.linear = nn.Embedding(FEATURES, 1)
        self.W = nn.Parameter(torch.randn(shape.k, shape.k) / shape.k**0.5)
        self.b = nn.Parameter(torch.zeros(shape.k))
        self.h = nn.Parameter(torch.randn(shape.k))
        self.p = nn.Parameter(torch.ones(shape.k))
        self.attend = attend

    def forward(self, ids: Tensor) -> Tensor:
        return self.linear(ids).sum((1, 2)) + self.attend(self.embedding(ids), self.W, self.b, self.h) @ self.p


def plain(shape: Shape, compiled: bool) -> tuple[nn.Module, dict[str, Step]]:
    from afm_core.kernels import reference

    ids, labels = draw(shape)
    ids = global_ids(ids, shape)
    ones = torch.ones_like(ids, dtype=torch.float32)
    mask = torch.ones_like(ids, dtype=torch.bool)

    def attend(v: Tensor, W: Tensor, b: Tensor, h: Tensor) -> Tensor:
        return reference.attend(v, ones, mask, W, b, h, None)[0]

    def narrow(v: Tensor, W: Tensor, b: Tensor, h: Tensor) -> Tensor:
        v, gate, W, b, h = (x.to(torch.bfloat16) for x in (v, ones, W, b, h))
        return reference.attend(v, gate, mask, W, b, h, None)[0].float()

    model = Plain(shape, narrow if compiled else attend).to(DEVICE)
    predict = torch.compile(model, dynamic=False) if compiled else model
    optimizer = torch.optim.Adagrad(model.parameters(), lr=0.05)
    return model, steps(model, lambda: predict(ids), labels, optimizer)


def deepctr(shape: Shape) -> tuple[nn.Module, dict[str, Step]]:
    from deepctr_torch.inputs import SparseFeat
    from deepctr_torch.models import AFM

    columns = [SparseFeat(f"f{i}", shape.per_field, embedding_dim=shape.k) for i in range(shape.m)]
    none = {"l2_reg_linear": 0, "l2_reg_embedding": 0, "l2_reg_att": 0}
    model = AFM(columns, columns, attention_factor=shape.k, task="regression", device=str(DEVICE), **none)
    ids, labels = draw(shape)
    X = ids.float()  # its input is one float table
    optimizer = torch.optim.Adagrad(model.parameters(), lr=0.05)
    return model, steps(model, lambda: model(X), labels, optimizer)


def fuxictr(shape: Shape) -> tuple[nn.Module, dict[str, Step]]:
    from fuxictr.features import FeatureMap
    from fuxictr.pytorch.layers import FeatureEmbedding, InnerProductInteraction, LogisticRegression

    names = [f"f{i}" for i in range(shape.m)]
    feature_map = FeatureMap("benchmark", "")
    spec = {"type": "categorical", "source": "", "vocab_size": shape.per_field}
    feature_map.features.update({name: dict(spec) for name in names})
    feature_map.num_fields = shape.m

    class FuxiAFM(nn.Module):
        """Its published layers, put together as the paper does: the package has no AFM, only its model zoo has."""

        def __init__(self) -> None:
            super().__init__()
            self.embedding = FeatureEmbedding(feature_map, shape.k)
            self.linear = LogisticRegression(feature_map)
            self.products = InnerProductInteraction(shape.m, output="elementwise_product")
            project = nn.Linear(shape.k, 1, bias=False)
            self.attention = nn.Sequential(nn.Linear(shape.k, shape.k), nn.ReLU(), project, nn.Softmax(dim=1))
            self.p = nn.Linear(shape.k, 1, bias=False)

        def forward(self, columns: dict[str, Tensor]) -> Tensor:
            products = self.products(self.embedding(columns))
            return self.linear(columns) + self.p((self.attention(products) * products).sum(1))

    model = FuxiAFM().to(DEVICE)
    ids, labels = draw(shape)
    columns = {name: ids[:, i].contiguous() for i, name in enumerate(names)}
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.Adagrad(trained, lr=0.05)
    return model, steps(model, lambda: model(columns), labels, optimizer)


def limit(shape: Shape, dtype: torch.dtype) -> tuple[nn.Module, dict[str, Step]]:
    """The matrix products alone: one for inference, three for training, by torch, of all pairs at once in pieces."""
    piece = min(shape.rows * shape.pairs, 1 << 15)
    share = shape.rows * shape.pairs / piece
    A = torch.randn(piece, shape.k, device=DEVICE).to(dtype)
    W = torch.randn(shape.k, shape.k, device=DEVICE).to(dtype)
    counts = {"inference": round(share) or 1, "training": 3 * (round(share) or 1)}

    def times(count: int) -> Step:
        return lambda: [A @ W for _ in range(count)]

    return nn.Identity(), {task: times(count) for task, count in counts.items()}


CONTESTANTS: dict[str, Callable[[Shape], tuple[nn.Module, dict[str, Step]]]] = {
    "ours": lambda shape: ours(shape, "bfloat16"),
    "ours, float32": lambda shape: ours(shape, "float32"),
    "plain torch": lambda shape: plain(shape, compiled=False),
    "torch.compile, bfloat16": lambda shape: plain(shape, compiled=True),
    "DeepCTR-Torch": deepctr,
    "FuxiCTR": fuxictr,
    "matrix products, bfloat16": lambda shape: limit(shape, torch.bfloat16),
    "matrix products, float32": lambda shape: limit(shape, torch.float32),
}


class Prepared:
    """The contestant of the last shape: rounds of the same shape find it warm."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.shape: Shape | None = None
        self.steps: dict[str, Step] = {}
        self.memory = 0.0

    def measure(self, shape: Shape, task: str, seconds: float) -> dict[str, float]:
        if shape != self.shape:
            self.shape, self.steps = None, {}
            torch.manual_seed(0)
            self.model, self.steps = CONTESTANTS[self.name](shape)
            self.model.train()
            self.memory = peak_mib(self.steps["training"])
            self.model.eval()
            self.steps["inference"]()
            self.shape = shape
        self.model.train(task == "training")
        return {"rate": rate(self.steps[task], shape.rows, seconds), "training_mib": self.memory}


def main() -> None:
    prepared = Prepared(sys.argv[1])
    for line in sys.stdin:
        request = json.loads(line)
        torch.set_num_threads(request["threads"])
        resource.setrlimit(resource.RLIMIT_DATA, (request["memory"], -1))
        shape = Shape(request["m"], request["k"], request["rows"])
        try:
            answer = prepared.measure(shape, request["task"], request["seconds"])
        except (RuntimeError, MemoryError) as error:
            if "memory" not in str(error):
                raise
            prepared.shape, prepared.steps = None, {}
            answer = {"out_of_memory": True}
        sys.__stdout__.write(json.dumps(answer) + "\n")
        sys.__stdout__.flush()


if __name__ == "__main__":
    sys.stdout = sys.stderr  # what a package prints is not an answer
    main()
