import torch

from afm_core.explain import mean_attention
from afm_core.models import AFM, EncodedBatch, Shape
from afm_core.settings.training import Model


def test_pairs_of_a_field_with_several_columns_are_summed() -> None:
    torch.manual_seed(1)
    model = AFM(Model(embedding_dim=4, attention_dim=4), Shape(20, 4))
    ids = torch.randint(1, 20, (50, 4))
    ids[:10, 2] = 0  # a row with one tag only
    batch = EncodedBatch.of_ids(ids)
    found = {pair.fields: pair.mean_weight for pair in mean_attention(model, [batch], ("user", "tags", "tags", "item"))}
    assert set(found) == {("user", "tags"), ("user", "item"), ("tags", "item")}
    weights = model.attend(batch)[1]
    assert weights is not None
    mean = weights.mean(dim=0).tolist()  # pairs 01 02 03 12 13 23
    expected = {("user", "tags"): mean[0] + mean[1], ("user", "item"): mean[2], ("tags", "item"): mean[4] + mean[5]}
    for fields, weight in expected.items():
        assert abs(found[fields] - weight) < 1e-6
