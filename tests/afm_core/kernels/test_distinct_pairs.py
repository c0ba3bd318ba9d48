"""Computing each distinct pair of features once, beside the reference in float64."""

import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from afm_core.kernels import distinct_pairs, native_library, pair_attention, reference
from tests.support.errors import worst

pytestmark = pytest.mark.skipif(native_library.native_library() is None, reason="the kernels are not compiled")
Result = tuple[Tensor, Tensor, tuple[Tensor, ...]]


class Rows:
    """Rows of few features, so that pairs repeat, some of them masked and some with a value of their own."""

    def __init__(self, rows: int, m: int, k: int, t: int, values: int, seed: int, dropout: float = 0.0) -> None:
        generator = torch.Generator().manual_seed(seed)

        def normal(*shape: int, std: float = 1.0) -> Tensor:
            return torch.randn(*shape, generator=generator) * std

        self.ids = torch.randint(0, values, (rows, m), generator=generator)
        self.mask = self.ids > 0
        self.gate = torch.where(self.ids % 3 == 1, torch.tensor(0.5), torch.tensor(1.0)) * self.mask
        self.gate[torch.rand(rows, m, generator=generator) < 0.1] *= 2.0  # the same feature with another x_i
        std = (2.0 / (t + k)) ** 0.5
        # Away from 0, where the side of ReLU would depend on rounding.
        self.leaves = (normal(values, k, std=0.3), normal(t, k, std=std), normal(t).sign(), normal(t))
        self.upstream, self.keep = normal(rows, k), None
        if dropout:
            kept = torch.rand(rows, m * (m - 1) // 2, generator=generator) >= dropout
            self.keep = kept / (1.0 - dropout)

    def run(self, dtype: torch.dtype, *, distinct: bool) -> Result:
        table, W, b, h = (leaf.detach().to(dtype).requires_grad_() for leaf in self.leaves)
        keep = None if self.keep is None else self.keep.to(dtype)
        # Not table[self.ids], whose gradient on several threads is a sum in any order.
        operands = functional.embedding(self.ids, table), self.gate.to(dtype), self.mask, W, b, h, keep
        if distinct:
            pairs = distinct_pairs._find(self.ids, self.gate)
            pooled, weights = distinct_pairs.attend(*operands, pairs)
        else:
            pooled, weights = reference.attend(*operands)
        gradients = torch.autograd.grad(pooled, (table, W, b, h), self.upstream.to(dtype), retain_graph=True)
        again = torch.autograd.grad(pooled, (table, W, b, h), self.upstream.to(dtype))
        assert all(map(torch.equal, gradients, again))
        return pooled.detach(), weights.detach(), gradients


@given(
    rows=st.integers(1, 40),
    m=st.integers(2, 6),
    k=st.integers(1, 20),
    t=st.integers(1, 20),
    values=st.integers(2, 30),
    seed=st.integers(0, 99),
    dropout=st.sampled_from([0.0, 0.4]),
)
@hypothesis_settings(max_examples=60, deadline=None)
def test_it_equals_the_reference(rows: int, m: int, k: int, t: int, values: int, seed: int, dropout: float) -> None:
    drawn = Rows(rows, m, k, t, values, seed, dropout)
    errors = worst(drawn.run(torch.float32, distinct=True), drawn.run(torch.float64, distinct=False))
    assert max(errors.values()) < 1e-5, errors


def test_it_equals_the_reference_at_the_size_of_frappe() -> None:
    drawn = Rows(512, 10, 256, 256, 60, seed=3)
    errors = worst(drawn.run(torch.float32, distinct=True), drawn.run(torch.float64, distinct=False))
    assert max(errors.values()) < 1e-5, errors


def test_the_pairs_are_those_of_the_rows_and_distinct() -> None:
    drawn = Rows(50, 5, 1, 1, 8, seed=1)
    pairs = distinct_pairs._find(drawn.ids, drawn.gate)
    features = list(zip(drawn.ids.flatten().tolist(), drawn.gate.flatten().tolist(), strict=True))
    distinct = [features[at] for at in pairs.feature.tolist()]
    assert len(set(distinct)) == len(distinct) == len(set(features))
    found = [{distinct[i], distinct[j]} for i, j in zip(pairs.first.tolist(), pairs.second.tolist(), strict=True)]
    assert len({frozenset(pair) for pair in found}) == len(found)
    for row, numbers in enumerate(pairs.of_row.tolist()):
        of_row = features[row * 5 : row * 5 + 5]
        for (i, j), number in zip(reference.pair_indices(5), numbers, strict=True):
            assert found[number] == {of_row[i], of_row[j]}


def test_it_is_used_where_pairs_repeat_and_products_are_large() -> None:
    def is_used(values: int, otherwise: str = "tiled") -> bool:
        ids = torch.randint(1, values + 1, (64, 4), generator=torch.Generator().manual_seed(0))
        return distinct_pairs.find(ids, torch.ones(64, 4), otherwise) is not None

    assert is_used(5)
    assert is_used(5, otherwise="native")
    assert not is_used(10**6), "no pair repeats"
    assert is_used(32)
    assert not is_used(32, otherwise="native"), "which is faster by the pair"
    assert distinct_pairs.replaces("tiled", "bfloat16", 64, 64)
    assert not distinct_pairs.replaces("tiled", "bfloat16", 63, 64), "too little to save"
    assert not distinct_pairs.replaces("triton", "float32", 64, 64)
    assert not distinct_pairs.replaces("reference", "float32", 64, 64)


def test_the_operator_uses_it_in_training_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    attend = distinct_pairs.attend
    monkeypatch.setattr(distinct_pairs, "attend", lambda *operands: calls.append(1) or attend(*operands))
    drawn = Rows(64, 4, 128, 128, 10, seed=0)
    table, W, b, h = (leaf.requires_grad_() for leaf in drawn.leaves)

    def pooled(ids: Tensor | None, gate: Tensor) -> Tensor:
        return pair_attention(table[drawn.ids], gate, drawn.mask, W, b, h, ids=ids)[0]

    once = pooled(drawn.ids, drawn.gate)
    assert calls == [1]
    torch.testing.assert_close(once, pooled(None, drawn.gate), rtol=1e-5, atol=1e-6)
    pooled(drawn.ids, drawn.gate.clone().requires_grad_())  # vectors then contain x_i, and are not those of the ids
    with torch.no_grad():
        pooled(drawn.ids, drawn.gate)
    assert calls == [1]
