"""Which implementation is taken, and gradients through a graph that is kept."""

import pytest
import torch

from afm_core.errors import MachineError
from afm_core.kernels import choose, describe, native_cpu, triton

no_triton = pytest.mark.skipif(not triton.available(), reason="needs the package triton, and a GPU or its interpreter")


def test_the_implementation_is_chosen_by_device_dtype_and_width() -> None:
    cpu = torch.device("cpu")
    assert choose("auto", cpu, torch.float64, 10, 64, "float32") == "reference"
    assert choose("reference", cpu, torch.float32, 10, 64, "float32") == "reference"
    assert choose("auto", cpu, torch.float32, 10, 64, "float32") == ("native" if native_cpu.level() else "tiled")
    assert choose("auto", cpu, torch.float32, 1000, 64, "float32") == "tiled"
    assert describe("reference", "float32") == "plain torch"
    with pytest.raises(MachineError, match="cpu cannot run on meta"):
        choose("cpu", torch.device("meta"), torch.float32, 10, 64, "float32")


@pytest.mark.parametrize(
    ("n_fields", "k", "precision", "expected"),
    [
        (10, 64, "float32", "triton"),
        (10, 256, "float32", "reference"),
        (10, 256, "bfloat16", "triton"),
        (3, 64, "bfloat16", "reference"),
        (39, 16, "float32", "triton"),
    ],
)
def test_triton_is_taken_where_it_is_worth_it(
    n_fields: int, k: int, precision: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(triton, "available", lambda: True)
    cuda = torch.device("cuda")
    assert choose("auto", cuda, torch.float32, n_fields, k, precision) == expected
    assert choose("triton", cuda, torch.float32, n_fields, k, precision) == "triton"


@no_triton
def test_a_second_gradient_through_the_same_graph() -> None:
    """With a graph that is kept, backward may be called again."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    v = torch.randn(3, 4, 8, device=device, requires_grad=True)
    ones, mask = torch.ones(3, 4, device=device), torch.ones(3, 4, dtype=torch.bool, device=device)
    W, b, h = torch.randn(8, 8, device=device), torch.zeros(8, device=device), torch.randn(8, device=device)
    pooled, _ = triton.attend(v, ones, mask, W, b, h, None, bfloat16=False, need_weights=False)
    first, second = (torch.autograd.grad(pooled.sum(), v, retain_graph=True)[0] for _ in range(2))
    assert torch.equal(first, second)
