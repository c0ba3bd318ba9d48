"""The models against obvious loops in float64, and the identities that tie AFM to FM."""

from typing import Any, get_args

import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from afm_core.kernels import pair_attention, pair_indices
from afm_core.models import AFM, REGISTRY, EncodedBatch, Shape, add_penalty_gradient
from afm_core.settings.model import ModelSettings
from tests.afm_core.models.loops import LOOPS
from tests.support.models import N_IDS, random_batch, random_model

CASES = [(name, {}) for name in REGISTRY]
CASES += [("afm", {"attention": False}), ("afm", {"attention_temperature": 2.5}), ("deep_afm", {"attention": False})]
CASES += [("afm", {"attention_sum": "pairs"}), ("deep_afm", {"attention_sum": "pairs"})]
CASES += [("dcn_v2", {"cross_rank": 3})]


def test_every_model_has_a_loop() -> None:
    assert set(LOOPS) == set(REGISTRY) == set(get_args(ModelSettings.model_fields["name"].annotation))


@pytest.mark.parametrize(("name", "options"), CASES)
@given(
    rows=st.integers(1, 4), fields=st.integers(2, 7), k=st.integers(1, 9), t=st.integers(1, 6), seed=st.integers(0, 99)
)
@hypothesis_settings(max_examples=15, deadline=None)
def test_a_model_equals_its_loop(
    name: str, options: dict[str, Any], rows: int, fields: int, k: int, t: int, seed: int
) -> None:
    model, batch = random_model(name, k, t, seed, fields, **options), random_batch(rows, fields, seed)
    expected = [LOOPS[name](model, batch.ids[row].tolist(), batch.values[row].tolist()) for row in range(rows)]
    assert torch.allclose(model(batch), torch.tensor(expected, dtype=torch.float64), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", REGISTRY)
def test_every_parameter_learns_and_padding_does_not(name: str) -> None:
    model, batch = random_model(name, 4, 3), random_batch(40, 5, 0)
    model(batch).square().sum().backward()
    for key, parameter in model.named_parameters():
        assert parameter.grad is not None, key
        gradient = parameter.grad.to_dense()
        assert gradient.abs().sum() > 0, key
        if gradient.dim() == 2 and len(gradient) == N_IDS:
            assert not gradient[0].any(), key


@pytest.mark.parametrize("name", sorted(set(REGISTRY) - {"wide_deep", "deep_cross", "deepfm", "dcn_v2", "ffm"}))
def test_a_model_of_pairs_does_not_depend_on_the_order_of_the_fields(name: str) -> None:
    model, batch = random_model(name, 4, 3), random_batch(10, 5, 1)
    order = [3, 0, 4, 1, 2]
    swapped = EncodedBatch(batch.ids[:, order], batch.values[:, order], batch.mask[:, order])
    assert torch.allclose(model(batch), model(swapped))


@pytest.mark.parametrize("name", ["afm", "deep_afm"])
def test_a_sum_start_gives_the_output_of_its_fm(name: str) -> None:
    fm, model = random_model("fm", 6, 4, 1), random_model(name, 6, 4, 2)
    batch = random_batch(30, 5, 3, masked=0.0)
    model.factors.copy_from(fm.factors)
    model.start_as_sum(5)
    if name == "deep_afm":
        torch.nn.init.zeros_(model.deep.output.weight)
    assert torch.allclose(model(batch), fm(batch))
    model(batch).sum().backward()
    assert model.h.grad.abs().sum() > 0, "attention could never begin to learn"


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


def test_gradients_pass_gradcheck() -> None:
    torch.manual_seed(0)
    v, x = torch.randn(3, 4, 5).double(), torch.randn(3, 4).double()
    W, b, h = torch.randn(6, 5).double(), torch.randn(6).double(), torch.randn(6).double()
    mask = torch.tensor([[True] * 4, [True, False, True, True], [True, False, False, False]])
    inputs = [tensor.requires_grad_() for tensor in (v, x, W, b, h)]
    assert torch.autograd.gradcheck(lambda v, x, W, b, h: pair_attention(v, x, mask, W, b, h), inputs)


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


@pytest.mark.parametrize("name", ["nfm", "deepfm", "wide_deep", "deep_cross", "dcn_v2", "deep_afm"])
def test_half_precision_is_for_products_only(name: str) -> None:
    """Outputs and gradients stay float32, and within what eight bits of mantissa allow."""
    whole, half = (random_model(name, 8, 4, precision=precision).float() for precision in ("float32", "bfloat16"))
    batch = random_batch(64, 5, 3)._replace(values=torch.ones(64, 5))
    outputs = [model(batch) for model in (whole, half)]
    assert outputs[1].dtype == torch.float32
    assert not torch.equal(*outputs)
    assert (outputs[0] - outputs[1]).norm() < 0.02 * outputs[0].norm()
    for output in outputs:
        output.sum().backward()
    for ours, exact in zip(half.parameters(), whole.parameters(), strict=True):
        assert ours.grad.dtype == torch.float32
        off = (ours.grad - exact.grad).to_dense().norm()
        assert off < 0.4 * exact.grad.to_dense().norm()  # a unit that is nearly 0 may be on the other side of it


def test_dropout_is_for_training_only() -> None:
    settings = ModelSettings(name="afm", embedding_dim=8, attention_dim=8, pooled_dropout=0.5, attention_dropout=0.5)
    model, batch = AFM(settings, Shape(N_IDS, 5)), EncodedBatch.of_ids(torch.randint(1, N_IDS, (32, 5)))
    torch.nn.init.normal_(model.factors.embedding.weight)
    model.train()
    assert not torch.equal(model(batch), model(batch))
    model.eval()
    assert torch.equal(model(batch), model(batch))


def test_the_penalty_is_l2_on_w_only() -> None:
    settings = ModelSettings(name="afm", embedding_dim=4, attention_dim=4, attention_l2=0.5)
    model = AFM(settings, Shape(N_IDS, 5))
    gradients = {}
    for l2, ranks in ((0.0, 1), (0.5, 1), (0.5, 2)):
        model.zero_grad()
        model(EncodedBatch.of_ids(torch.randint(1, N_IDS, (8, 5)).fill_(2))).sum().backward()
        add_penalty_gradient(model, settings.model_copy(update={"attention_l2": l2}), ranks)
        gradients[l2, ranks] = {name: p.grad.to_dense().clone() for name, p in model.named_parameters()}
    without = gradients[0.0, 1]
    for ranks in (1, 2):
        for name, gradient in gradients[0.5, ranks].items():
            torch.testing.assert_close(gradient - without[name], model.W / ranks if name == "W" else 0 * gradient)
    add_penalty_gradient(random_model("fm", 4, 4), settings)  # has no W
    model = AFM(settings.model_copy(update={"attention": False}), Shape(N_IDS, 5))
    model(EncodedBatch.of_ids(torch.ones(8, 5, dtype=torch.long))).sum().backward()
    add_penalty_gradient(model, settings)
    assert model.W.grad is None, "it is not used"
