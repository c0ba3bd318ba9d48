"""The models against obvious loops in float64, and the identities that tie AFM to FM."""

import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from torch import Tensor

from afm_core.kernels import pair_attention, pair_indices
from afm_core.models import AFM, FM, EncodedBatch, build_model
from afm_core.settings.training import Model

N_IDS = 23


def random_batch(rows: int, fields: int, seed: int, masked: float = 0.3) -> EncodedBatch:
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(1, N_IDS, (rows, fields), generator=generator)
    ids[torch.rand(rows, fields, generator=generator) < masked] = 0
    return EncodedBatch(ids, torch.randn(rows, fields, generator=generator).double(), ids != 0)


def random_model(name: str, k: int, t: int, seed: int = 0) -> AFM | FM:
    torch.manual_seed(seed)
    model = build_model(Model.model_validate({"name": name, "embedding_dim": k, "attention_dim": t}), N_IDS).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn_like(parameter))
        for table in (model.factors.linear, model.factors.embedding):
            table.weight[0] = 0.0
    return model.eval()


def loop_first_order(model: AFM | FM, ids: list[int], x: list[float]) -> float:
    weights = model.factors.linear.weight
    return model.factors.bias.item() + sum(weights[i].item() * value for i, value in zip(ids, x, strict=True) if i)


def loop_pairs(model: AFM | FM, ids: list[int], x: list[float]) -> list[Tensor]:
    v = model.factors.embedding.weight
    present = [(i, value) for i, value in zip(ids, x, strict=True) if i]
    return [v[i] * v[j] * a * b for (i, a), (j, b) in itertools.combinations(present, 2)]


def loop_fm(model: FM, ids: list[int], x: list[float]) -> float:
    return loop_first_order(model, ids, x) + sum(pair.sum().item() for pair in loop_pairs(model, ids, x))


def loop_afm(model: AFM, ids: list[int], x: list[float]) -> float:
    pairs = loop_pairs(model, ids, x)
    logits = [(model.h * torch.relu(model.W @ pair + model.b)).sum().item() for pair in pairs]
    total = sum(math.exp(logit - max(logits)) for logit in logits)
    attended = sum(
        math.exp(logit - max(logits)) / total * (model.p * pair).sum().item()
        for logit, pair in zip(logits, pairs, strict=True)
    )
    return loop_first_order(model, ids, x) + attended


@pytest.mark.parametrize(("name", "loop"), [("fm", loop_fm), ("afm", loop_afm)])
@given(
    rows=st.integers(1, 4), fields=st.integers(2, 7), k=st.integers(1, 9), t=st.integers(1, 6), seed=st.integers(0, 99)
)
@hypothesis_settings(max_examples=25, deadline=None)
def test_a_model_equals_its_loop(name: str, loop, rows: int, fields: int, k: int, t: int, seed: int) -> None:
    model, batch = random_model(name, k, t, seed), random_batch(rows, fields, seed)
    expected = [loop(model, batch.ids[row].tolist(), batch.values[row].tolist()) for row in range(rows)]
    assert torch.allclose(model(batch), torch.tensor(expected, dtype=torch.float64), rtol=1e-10, atol=1e-10)


def test_weights_sum_to_one_over_the_unmasked_pairs_and_differ() -> None:
    model, batch = random_model("afm", 8, 5), random_batch(50, 6, 3)
    _, weights = model.attend(batch)
    present = torch.stack([batch.mask[:, i] & batch.mask[:, j] for i, j in pair_indices(6)], dim=1)
    has_pairs = present.any(dim=1)
    assert 0 < has_pairs.sum() <= 50
    assert torch.allclose(weights.sum(dim=1)[has_pairs], torch.ones(int(has_pairs.sum())).double())
    assert (weights[~present] == 0).all()
    whole = weights[present.all(dim=1)]
    assert len(whole) > 0
    assert (whole.std(dim=1) > 1e-3).all(), "attention that is the same for every pair is no attention"


def test_a_row_without_pairs_has_only_its_first_order() -> None:
    model = random_model("afm", 4, 4)
    ids = torch.tensor([[5, 0, 0], [0, 0, 0]])
    batch = EncodedBatch(ids, torch.ones(2, 3).double(), ids != 0)
    pooled, weights = model.attend(batch)
    assert not pooled.any()
    assert not weights.any()
    assert torch.allclose(model(batch), model.factors.first_order(batch))


@pytest.mark.parametrize("fields", [2, 5, 10])
def test_uniform_attention_with_p_times_the_number_of_pairs_is_fm(fields: int) -> None:
    settings = Model(name="afm", embedding_dim=16, attention_dim=8)
    torch.manual_seed(1)
    fm, afm = FM(settings, N_IDS).eval(), AFM(settings, N_IDS).eval()
    torch.nn.init.normal_(fm.factors.embedding.weight, std=0.5)
    afm.start_from(fm)
    with torch.no_grad():
        afm.h.zero_()
        afm.p.mul_(fields * (fields - 1) / 2)
    ids = torch.randint(1, N_IDS, (64, fields))
    batch = EncodedBatch.of_ids(ids)
    assert torch.allclose(afm(batch), fm(batch), atol=1e-5)


def test_gradients_pass_gradcheck() -> None:
    torch.manual_seed(0)
    v, x = torch.randn(3, 4, 5).double(), torch.randn(3, 4).double()
    W, b, h = torch.randn(6, 5).double(), torch.randn(6).double(), torch.randn(6).double()
    mask = torch.tensor([[True] * 4, [True, False, True, True], [True, False, False, False]])
    inputs = [tensor.requires_grad_() for tensor in (v, x, W, b, h)]
    assert torch.autograd.gradcheck(lambda v, x, W, b, h: pair_attention(v, x, mask, W, b, h), inputs)


def test_every_parameter_of_afm_learns() -> None:
    model = random_model("afm", 4, 3)
    model(random_batch(20, 5, 0, masked=0.0)).square().sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


def test_swapping_two_fields_swaps_their_attention_and_leaves_the_output() -> None:
    model, batch = random_model("afm", 6, 4), random_batch(10, 4, 5, masked=0.0)
    order = [0, 2, 1, 3]
    swapped = EncodedBatch(batch.ids[:, order], batch.values[:, order], batch.mask[:, order])
    assert torch.allclose(model(batch), model(swapped))
    before = dict(zip(pair_indices(4), model.attend(batch)[1].T, strict=True))
    after = dict(zip(pair_indices(4), model.attend(swapped)[1].T, strict=True))
    for i, j in pair_indices(4):
        a, b = sorted((order[i], order[j]))
        assert torch.allclose(after[(i, j)], before[(a, b)])


def test_padding_changes_nothing() -> None:
    model, batch = random_model("afm", 6, 4), random_batch(10, 4, 5)
    pad = torch.zeros(10, 2, dtype=torch.long)
    wider = EncodedBatch(
        torch.cat([batch.ids, pad], 1),
        torch.cat([batch.values, pad.double() + 7], 1),
        torch.cat([batch.mask, pad > 0], 1),
    )
    assert torch.allclose(model(batch), model(wider))


def test_dropout_is_for_training_only() -> None:
    settings = Model(name="afm", embedding_dim=8, attention_dim=8, pooled_dropout=0.5, attention_dropout=0.5)
    model, batch = AFM(settings, N_IDS), EncodedBatch.of_ids(torch.randint(1, N_IDS, (32, 5)))
    torch.nn.init.normal_(model.factors.embedding.weight)
    model.train()
    assert not torch.equal(model(batch), model(batch))
    model.eval()
    assert torch.equal(model(batch), model(batch))


def test_the_penalty_is_l2_on_w_only() -> None:
    model = AFM(Model(name="afm", embedding_dim=4, attention_dim=4, attention_l2=0.5), N_IDS)
    model.penalty().backward()
    assert torch.allclose(model.W.grad, model.W)
    assert all(p.grad is None for name, p in model.named_parameters() if name != "W")
