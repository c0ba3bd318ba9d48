from typing import Any

import pytest
import torch

from afm_core.inference.explanations import explain, mean_attention
from afm_core.models import AFM, EncodedBatch, Shape
from afm_core.settings.model import ModelSettings
from tests.support.models import random_batch, random_model


def test_pairs_of_a_field_with_several_columns_are_summed() -> None:
    torch.manual_seed(1)
    model = AFM(ModelSettings(embedding_dim=4, attention_dim=4), Shape(20, 4))
    ids = torch.randint(1, 20, (50, 4))
    ids[:10, 2] = 0  # a row with one tag only
    batch = EncodedBatch.of_ids(ids)
    actual = {
        pair.fields: pair.mean_weight for pair in mean_attention(model, [batch], ("user", "tags", "tags", "item"))
    }
    assert set(actual) == {("user", "tags"), ("user", "item"), ("tags", "item")}
    weights = model.attend(batch)[1]
    assert weights is not None
    mean = weights.mean(dim=0).tolist()  # pairs 01 02 03 12 13 23
    expected = {("user", "tags"): mean[0] + mean[1], ("user", "item"): mean[2], ("tags", "item"): mean[4] + mean[5]}
    for fields, weight in expected.items():
        assert abs(actual[fields] - weight) < 1e-6


@pytest.mark.parametrize(
    "options", [{}, {"attention": False}, {"attention_temperature": 3.0}, {"attention_sum": "pairs"}]
)
def test_first_order_and_all_contributions_add_up_to_the_output(options: dict[str, Any]) -> None:
    model, batch = random_model("afm", 6, 4, **options), random_batch(40, 5, 1)
    explained = explain(model, batch, 100)
    assert explained.pair.shape == (40, 10)
    total = explained.first_order + (explained.contribution * explained.present).sum(dim=1)
    torch.testing.assert_close(total, model(batch), rtol=1e-9, atol=1e-9)
    assert torch.equal(explained.present.sum(dim=1), batch.mask.sum(dim=1) * (batch.mask.sum(dim=1) - 1) // 2)


def test_the_most_weighted_pairs_come_first() -> None:
    model, batch = random_model("afm", 6, 4), random_batch(40, 5, 1)
    everything, few = explain(model, batch, 10), explain(model, batch, 3)
    assert torch.equal(few.pair, everything.pair[:, :3])
    weights = torch.where(everything.present, everything.weight, -1.0)
    assert (weights[:, :-1] >= weights[:, 1:]).all()
    with torch.inference_mode():
        assert torch.equal(everything.weight, model.attend(batch)[1].gather(1, everything.pair))
