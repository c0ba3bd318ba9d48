"""One suite for all implementations of pair attention: each must equal plain torch in float64."""

import itertools
from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from torch import Tensor

from afm_core.kernels import native_cpu, pair_attention, reference, tiled_cpu, triton
from tests.support.errors import Gradients, worst

Attend = Callable[..., tuple[Tensor, Tensor | None]]


def native(*tensors: Tensor | None, bfloat16: bool = False) -> tuple[Tensor, Tensor | None]:
    return native_cpu.attend(*tensors, bfloat16=bfloat16, need_weights=True)


def native_bfloat16(*tensors: Tensor | None) -> tuple[Tensor, Tensor | None]:
    return native(*tensors, bfloat16=True)


def triton_float32(*tensors: Tensor | None, bfloat16: bool = False) -> tuple[Tensor, Tensor | None]:
    gpu = "cuda" if torch.cuda.is_available() else "cpu"
    moved = (None if tensor is None else tensor.to(gpu) for tensor in tensors)
    pooled, weights = triton.attend(*moved, bfloat16=bfloat16, need_weights=True)
    return pooled.cpu(), None if weights is None else weights.cpu()


def triton_bfloat16(*tensors: Tensor | None) -> tuple[Tensor, Tensor | None]:
    return triton_float32(*tensors, bfloat16=True)


no_native = pytest.mark.skipif(native_cpu.level() < 1, reason="this processor or this set-up has no native kernels")
no_bfloat16 = pytest.mark.skipif(native_cpu.level() < 2, reason="this processor has no AVX512-BF16")
no_triton = pytest.mark.skipif(not triton.available(), reason="needs the package triton, and a GPU or its interpreter")

SIZES, WIDTHS = (16, 64, 256), (3, 10, 26, 39)
EXACT = [
    pytest.param(tiled_cpu.attend, 512, id="tiled"),
    pytest.param(native, 512, id="native", marks=no_native),
    pytest.param(triton_float32, 18, id="triton", marks=no_triton),
]
NARROW = [
    pytest.param(native_bfloat16, 512, id="native", marks=no_bfloat16),
    pytest.param(triton_bfloat16, 18, id="triton", marks=no_triton),
]
every_exact = pytest.mark.parametrize(("attend", "most_rows"), EXACT)
every_shape = pytest.mark.parametrize("k", SIZES)
every_width = pytest.mark.parametrize("m", WIDTHS)


def in_every_shape(implementations: list) -> pytest.MarkDecorator:
    """With all m and k; in Triton's interpreter, which is slow by the pair, large ones are long tests."""
    cases = []
    for implementation, m, k in itertools.product(implementations, WIDTHS, SIZES):
        interpreted = implementation.id == "triton" and not torch.cuda.is_available()
        marks = [*implementation.marks, *([pytest.mark.long] if interpreted and m * m * k > 100 * 64 else [])]
        cases.append(pytest.param(*implementation.values, m, k, id=f"{implementation.id}-{m}-{k}", marks=marks))
    return pytest.mark.parametrize(("attend", "most_rows", "m", "k"), cases)


class Case:
    """Random operands: values other than 1, some features missing, the network as the model starts it.

    Rows with an activation within float32's rounding of 0 are left out: on which side of ReLU it falls, hence the
    gradient, is then a matter of the order of the sums.
    """

    def __init__(self, rows: int, m: int, k: int, t: int, seed: int, *, missing: float = 0.1, dropout: float = 0.0):
        generator = torch.Generator().manual_seed(seed)

        def normal(*shape: int, std: float = 1.0) -> Tensor:
            return torch.randn(*shape, generator=generator) * std

        std = (2.0 / (t + k)) ** 0.5
        W, b, h = normal(t, k, std=std), normal(t, std=std), normal(t)
        drawn = 3 * rows + 3
        mask = torch.rand(drawn, m, generator=generator) >= missing
        gate = (1.0 + normal(drawn, m, std=0.5)) * mask
        v = normal(drawn, m, k, std=0.3)
        clear = [at for at in range(drawn) if not _near_a_kink(v[at : at + 1], gate[at : at + 1], W, b)][:rows]
        assert len(clear) == rows
        self.leaves = (v[clear], W, b, h)
        self.mask, self.gate, self.upstream = mask[clear], gate[clear], normal(rows, k)
        self.keep = None
        if dropout:
            kept = torch.rand(rows, m * (m - 1) // 2, generator=generator) >= dropout
            self.keep = kept / (1.0 - dropout)

    def run(self, attend: Attend, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor, Gradients]:
        v, W, b, h = (leaf.detach().to(dtype).requires_grad_() for leaf in self.leaves)
        keep = None if self.keep is None else self.keep.to(dtype)
        pooled, weights = attend(v, self.gate.to(dtype), self.mask, W, b, h, keep)
        assert weights is not None
        gradients = torch.autograd.grad(pooled, (v, W, b, h), self.upstream.to(dtype))
        return pooled.detach(), weights.detach(), gradients


def _near_a_kink(v: Tensor, gate: Tensor, W: Tensor, b: Tensor) -> bool:
    before = reference.interactions((v * gate.unsqueeze(-1)).double()) @ W.double().T + b
    return bool((before.abs() < 2e-7 * before.abs().max()).any())


def rounded_reference(v: Tensor, gate: Tensor, mask: Tensor, W: Tensor, b: Tensor, h: Tensor, keep: Tensor | None):
    """The reference with bfloat16 factors in the scores' product: an activation then falls on the same side of ReLU."""

    def rounded(x: Tensor) -> Tensor:
        return x + (x.to(torch.bfloat16).to(x.dtype) - x).detach()

    pairs = reference.interactions(v * gate.unsqueeze(-1))
    scores = torch.relu(rounded(pairs) @ rounded(W).T + b) @ h
    weights = reference.masked_softmax(scores, reference.pair_mask(mask))
    used = weights if keep is None else weights * keep
    return torch.bmm(used.unsqueeze(1), pairs).squeeze(1), weights


@in_every_shape(EXACT)
def test_float32_equals_the_reference(attend: Attend, most_rows: int, m: int, k: int) -> None:
    case = Case(min(most_rows, 40), m, k, k, seed=m + k)
    errors = worst(case.run(attend), case.run(reference.attend, torch.float64))
    assert max(errors.values()) < 1e-5, errors


@in_every_shape(NARROW)
def test_bfloat16_equals_the_reference(attend: Attend, most_rows: int, m: int, k: int) -> None:
    case = Case(min(most_rows, 40), m, k, k, seed=m + k)
    errors = worst(case.run(attend), case.run(rounded_reference, torch.float64))
    assert max(errors.values()) < 2e-2, errors


@pytest.mark.long
@pytest.mark.parametrize("rows", [512, 4096])
@pytest.mark.parametrize("narrow", [False, True])
@every_shape
@every_width
@no_bfloat16
def test_whole_batches_equal_the_reference(m: int, k: int, rows: int, narrow: bool) -> None:
    """The reference in pieces of 64 rows: its interactions of 4,096 rows would fill the memory several times."""
    case = Case(rows, m, k, k, seed=m + k)
    pooled, weights, gradients = [], [], []
    for start in range(0, rows, 64):
        piece = slice(start, start + 64)
        part = Case(1, m, k, k, seed=1)
        part.mask, part.gate, part.upstream = case.mask[piece], case.gate[piece], case.upstream[piece]
        part.leaves = (case.leaves[0][piece], *case.leaves[1:])
        results = part.run(rounded_reference if narrow else reference.attend, torch.float64)
        pooled.append(results[0])
        weights.append(results[1])
        gradients.append(results[2])
    d_v, d_W, d_b, d_h = zip(*gradients, strict=True)
    wanted = (torch.cat(pooled), torch.cat(weights), (torch.cat(d_v), sum(d_W), sum(d_b), sum(d_h)))
    differences = worst(case.run(native_bfloat16 if narrow else native), wanted)
    assert max(differences.values()) < (2e-2 if narrow else 1e-5), differences


@every_exact
@given(
    rows=st.integers(1, 70), m=st.integers(2, 12), k=st.integers(1, 70), t=st.integers(1, 70), seed=st.integers(0, 999),
    missing=st.sampled_from([0.0, 0.3, 0.9]), dropout=st.sampled_from([0.0, 0.4]),
)  # fmt: skip
@hypothesis_settings(max_examples=30, deadline=None)
def test_any_shape(attend: Attend, most_rows: int, rows, m, k, t, seed, missing, dropout) -> None:
    if attend is triton_float32:
        m = min(m, 6)  # the interpreter is slow by the pair
    case = Case(min(rows, most_rows), m, k, t, seed, missing=missing, dropout=dropout)
    errors = worst(case.run(attend), case.run(reference.attend, torch.float64))
    assert max(errors.values()) < 1e-5, errors


@pytest.mark.parametrize(("attend", "most_rows"), EXACT + NARROW)
def test_rows_with_one_feature_or_none_give_zeros(attend: Attend, most_rows: int) -> None:
    case = Case(3, 5, 12, 9, seed=1)
    case.mask[:] = False
    case.mask[1, 2] = True
    case.gate = case.gate * case.mask
    pooled, weights, gradients = case.run(attend)
    assert not pooled.any()
    assert not weights.any()
    assert not gradients[0].any()


@pytest.mark.parametrize(("attend", "most_rows"), EXACT + NARROW)
def test_every_output_is_overwritten(attend: Attend, most_rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    case = Case(min(most_rows, 19), 6, 37, 21, seed=2, dropout=0.3)
    clean = case.run(attend)

    def poisoned(made: Callable[..., Tensor]) -> Callable[..., Tensor]:
        def make(*arguments, **options) -> Tensor:
            tensor = made(*arguments, **options)
            return tensor.fill_(float("nan")) if tensor.is_floating_point() else tensor.fill_(-1)

        return make

    monkeypatch.setattr(torch, "empty", poisoned(torch.empty))
    monkeypatch.setattr(torch, "empty_like", poisoned(torch.empty_like))
    monkeypatch.setattr(Tensor, "new_empty", poisoned(Tensor.new_empty))
    again = case.run(attend)
    for ours, theirs in zip((*again[:2], *again[2]), (*clean[:2], *clean[2]), strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize(("attend", "most_rows"), EXACT + NARROW)
def test_a_row_does_not_depend_on_the_others(attend: Attend, most_rows: int) -> None:
    case = Case(min(most_rows, 37), 7, 24, 24, seed=3)
    whole, _, _ = case.run(attend)
    case.mask, case.gate, case.upstream = case.mask[1:2], case.gate[1:2], case.upstream[1:2]
    case.leaves = (case.leaves[0][1:2], *case.leaves[1:])
    assert torch.allclose(case.run(attend)[0], whole[1:2], rtol=1e-6, atol=1e-8)


def test_the_values_may_be_learned_too() -> None:
    case = Case(9, 4, 6, 5, seed=4)
    actual = []
    for kernel in ("reference", "auto"):
        x = torch.ones(9, 4, requires_grad=True)
        pooled, _ = pair_attention(case.leaves[0], x, case.mask, *case.leaves[1:], kernel=kernel)
        actual.append(torch.autograd.grad(pooled, x, case.upstream)[0])
    assert torch.allclose(*actual, rtol=1e-4, atol=1e-5)


def test_weights_are_returned_only_when_asked_for() -> None:
    case = Case(9, 4, 6, 5, seed=4)
    operands = (case.leaves[0], torch.ones(9, 4), case.mask, *case.leaves[1:])
    assert pair_attention(*operands, need_weights=False)[1] is None
    assert pair_attention(*operands)[1] is not None
