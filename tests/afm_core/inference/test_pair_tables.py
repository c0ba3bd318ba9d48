"""Outputs that are looked up against those of the model itself."""

import numpy as np
import pytest
import torch

from afm_core.features import Categorical, FeatureMap, Field, Numeric, Tags
from afm_core.inference import pair_tables
from afm_core.inference.pair_tables import BATCH_ROWS, PairTables
from afm_core.models import AFM, EncodedBatch, Shape, build_model
from afm_core.settings.model import ModelSettings

SIZES = {"user": 300, "app": 40, "daypart": 7, "weekday": 7, "weekend": 2, "price": 1, "tags": 50}
FIELDS: tuple[Field, ...] = (
    *[Categorical(name=name) for name in ("user", "app", "daypart", "weekday", "weekend")],
    Numeric(name="price", kind="numeric"),
    Tags(name="tags", kind="tags", length=2),
)


def map_of(*fields: Field) -> FeatureMap:
    return FeatureMap.lay_out(fields, [SIZES[field.name] for field in fields])


CLOSE = {"rtol": 1e-5, "atol": 2e-5}
"""Sums of ten pairs and more in float32, in another order."""

CATEGORIES, MIXED = map_of(*FIELDS[:5]), map_of(*FIELDS)


def model_for(feature_map: FeatureMap, **options: object) -> AFM:
    torch.manual_seed(3)
    settings = {"name": "afm", "embedding_dim": 12, "attention_dim": 20, "attention_temperature": 1.5, **options}
    model = build_model(ModelSettings.model_validate(settings), Shape.of(feature_map))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn_like(parameter))
        model.factors.embedding.weight[0] = 0.0
    return model.eval()


def batch_of(feature_map: FeatureMap, seed: int) -> EncodedBatch:
    """Rows of features, unknown values, padded tags, and in the end padding in a column, then in all of them."""
    random = np.random.default_rng(seed)
    columns = []
    for field in feature_map.column_fields:
        features = np.concatenate([[field.unknown_id], field.ids(np.arange(field.size))])
        if field.name == "tags":
            features = np.concatenate([[0] * len(features), features])
        columns.append(random.choice(features, BATCH_ROWS))
    ids = np.stack(columns, axis=1).astype(np.int64)
    ids[-40:, 0] = ids[-20:] = 0
    x = random.normal(size=(BATCH_ROWS, len(feature_map.x_columns))).astype(np.float32)
    return EncodedBatch.of_columns(torch.from_numpy(ids), torch.from_numpy(x), feature_map.value_index)


@pytest.mark.parametrize("attention_sum", ["one", "pairs"])
@pytest.mark.parametrize("feature_map", [CATEGORIES, MIXED], ids=["categories", "mixed"])
@torch.inference_mode()
def test_outputs_are_the_models_and_stay_the_same_bit_for_bit_as_tables_are_made(
    feature_map: FeatureMap, attention_sum: str
) -> None:
    model = model_for(feature_map, attention_sum=attention_sum)
    # Sums of up to 21 pairs, where means of as many are rounded otherwise.
    close = CLOSE if attention_sum == "one" else {"rtol": 1e-5, "atol": 21 * CLOSE["atol"]}
    tables, batch = PairTables(model, feature_map), batch_of(feature_map, 1)
    first = tables.outputs(batch)
    torch.testing.assert_close(first, model(batch), **close)
    assert first.std() > 1
    n_tables = [tables.n_tables]
    for seed in range(2, 18):
        other = batch_of(feature_map, seed)
        torch.testing.assert_close(tables.outputs(other), model(other), **close)
        assert torch.equal(tables.outputs(batch), first)
        n_tables.append(tables.n_tables)
    assert n_tables[0] == 0
    assert n_tables[-1] == 10, "all pairs of the five categories: the greatest table has 302 x 42 entries"
    assert len(set(n_tables)) > 3, "the smaller ones came earlier"


def test_tables_are_made_when_a_pair_was_computed_for_as_many_rows_as_they_have_entries() -> None:
    tables, batch = PairTables(model_for(CATEGORIES), CATEGORIES), batch_of(CATEGORIES, 1)
    rows = [0]
    while tables.n_tables < 10:
        tables.outputs(batch)
        rows.append(rows[-1] + BATCH_ROWS)
    assert rows[-3] < 302 * 42 <= rows[-2], "seen before the batch that found it made"


def test_a_row_without_a_pair_has_its_first_order_only() -> None:
    model = model_for(MIXED)
    outputs = PairTables(model, MIXED).outputs(batch_of(MIXED, 1))
    assert torch.equal(outputs[-20:], model.factors.bias.detach().expand(20))


def test_tables_have_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pair_tables, "_MAX_ENTRIES", 3000)
    tables = PairTables(model_for(CATEGORIES), CATEGORIES)
    batch = batch_of(CATEGORIES, 1)
    first = tables.outputs(batch)
    for _ in range(20):
        assert torch.equal(tables.outputs(batch), first)
    assert tables.n_tables == 7, "the pairs of user with all but weekend are beyond"


def test_other_models_go_without() -> None:
    assert PairTables.of(model_for(CATEGORIES), CATEGORIES) is not None
    assert PairTables.of(model_for(CATEGORIES, name="fm"), CATEGORIES) is None
    assert PairTables.of(model_for(CATEGORIES, name="deep_afm"), CATEGORIES) is None
    assert PairTables.of(model_for(CATEGORIES, attention=False), CATEGORIES) is None


def test_a_forward_that_is_faster_is_kept() -> None:
    """Where little is computed for a pair, and where many pairs cannot be looked up."""
    sizes = {"narrow": 8, "wide": 256}
    models = {name: {"embedding_dim": size, "attention_dim": size} for name, size in sizes.items()}
    assert PairTables.of(model_for(CATEGORIES, **models["narrow"]), CATEGORIES) is None
    assert PairTables.of(model_for(CATEGORIES, **models["wide"]), CATEGORIES) is not None
    assert PairTables.of(model_for(MIXED, **models["wide"]), MIXED) is None, "18 of 28 pairs have an x_i that varies"
