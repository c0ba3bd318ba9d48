import pytest
import torch

from afm_core.inference.pair_terms import PairTerms
from afm_core.kernels import pair_attention
from afm_core.models import AFM, Shape
from afm_core.settings.model import ModelSettings


def afm() -> AFM:
    torch.manual_seed(3)
    return AFM(ModelSettings(embedding_dim=8, attention_dim=6, attention_temperature=2.0), Shape(20, 3)).double()


def test_both_forms_agree() -> None:
    terms = PairTerms(afm())
    vectors_NK, vector_K = torch.randn(5, 8, dtype=torch.float64), torch.randn(8, dtype=torch.float64)
    for one_by_one, at_once in zip(
        terms.of(vectors_NK * vector_K), terms.of_products(vectors_NK, vector_K), strict=True
    ):
        assert one_by_one.shape == (5,)
        torch.testing.assert_close(one_by_one, at_once)


def test_logits_and_contributions_make_up_the_pooled_output_of_the_reference() -> None:
    model = afm()
    v, x = torch.randn(7, 3, 8, dtype=torch.float64), torch.ones(7, 3, dtype=torch.float64)
    arguments = (v, x, x > 0, model.W, model.b, model.h / model.temperature)
    pooled, weights = pair_attention(*arguments, kernel="reference")
    pairs = torch.stack([v[:, 0] * v[:, 1], v[:, 0] * v[:, 2], v[:, 1] * v[:, 2]], dim=1)
    logits, contributions = PairTerms(model).of(pairs)
    torch.testing.assert_close(torch.softmax(logits, dim=1), weights.detach() if weights is not None else None)
    torch.testing.assert_close((torch.softmax(logits, dim=1) * contributions).sum(dim=1), (pooled @ model.p).detach())


def test_bfloat16_rounds_the_factors_only() -> None:
    model = afm().float()
    interactions = torch.randn(200, 8)
    exact, rounded = PairTerms(model).of(interactions), PairTerms(model, "bfloat16").of(interactions)
    assert torch.equal(exact[1], rounded[1])
    assert not torch.equal(exact[0], rounded[0])
    assert float((exact[0] - rounded[0]).detach().abs().max()) == pytest.approx(0, abs=0.1)
