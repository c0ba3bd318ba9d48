"""Subnormal numbers are zeros wherever a model computes."""

import subprocess
import sys

import pytest
import torch

from afm_core.bundle import read_bundle
from tests.support.files import ROOT
from tests.support.small import Small

CODE = """
import sys, threading
import torch
from torch import Tensor
from afm_core.kernels import pair_attention
from afm_core.kernels.subnormals import subnormals_as_zeros

scope = subnormals_as_zeros()
scope.__enter__()
torch.set_num_threads(2)
assert not torch.full((1_000_000,), 1e-40).mul(1.0).any(), "of the threads that torch starts"
found = []
thread = threading.Thread(target=lambda: found.append(float(torch.tensor(1e-40) * 1.0)))
thread.start()
thread.join()
assert found == [0.0], "of a thread of Python, as those that feed a training"

torch.manual_seed(1)
v, x, mask = torch.randn(512, 6, 32), torch.ones(512, 6), torch.ones(512, 6, dtype=torch.bool)
W, b, h = torch.randn(32, 32), torch.randn(32), torch.randn(32)
small = torch.rand(32, 32) < 0.5

def computed(value: float) -> list[Tensor]:
    weights = W.masked_fill(small, value).requires_grad_()
    vectors = v.clone().requires_grad_()
    pooled, _ = pair_attention(
        vectors, x, mask, weights, b, h, need_weights=False, precision=sys.argv[2], kernel=sys.argv[1]
    )
    pooled.square().sum().backward()
    return [pooled, vectors.grad, weights.grad]

for ours, expected in zip(computed(1e-40), computed(0.0), strict=True):
    assert torch.equal(ours, expected)
scope.__exit__(None, None, None)
assert float(torch.tensor(1e-40) * 1.0) > 0.0, "afterwards they are numbers again"
"""


@pytest.mark.parametrize(("kernel", "precision"), [("reference", "float32"), ("cpu", "float32"), ("cpu", "bfloat16")])
def test_an_attention_network_of_subnormals_is_one_of_zeros(kernel: str, precision: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CODE, kernel, precision], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_whoever_scores_takes_them_for_zeros(small: Small, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle, seen = read_bundle(small.settings.run.bundle), list[float]()
    to_score = bundle.calibrated_model.to_score

    def recorded(outputs: torch.Tensor) -> torch.Tensor:
        seen.append(float(torch.tensor(1e-40) * 1.0))
        return to_score(outputs)

    monkeypatch.setattr(bundle.calibrated_model, "to_score", recorded)
    assert bundle.certificate_error() == 0.0
    assert set(seen) == {0.0}
    assert float(torch.tensor(1e-40) * 1.0) > 0.0
