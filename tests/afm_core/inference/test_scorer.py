"""A row's score must not depend on the rows that it is scored with: nights are cut into tasks and batches anyhow."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from afm_core.features import Categorical, FeatureMap, Numeric
from afm_core.inference.pair_tables import BATCH_ROWS, FEW_ROWS
from afm_core.inference.scorer import Scorer
from afm_core.kernels import native_cpu
from afm_core.learning.calibrated_model import CalibratedModel
from afm_core.models import REGISTRY, EncodedBatch
from tests.support.models import N_IDS, random_model

NAMES, SIZES = ("user", "app", "price", "daypart", "place"), (6, 5, 1, 3, 2)
LOOKED_UP = FeatureMap.lay_out([Categorical(name=name) for name in NAMES], SIZES)
WITH_X = FeatureMap.lay_out(
    [Numeric(name=name, kind="numeric") if name == "price" else Categorical(name=name) for name in NAMES], SIZES
)


def scorer_of(name: str, feature_map: FeatureMap, precision: str = "float32") -> tuple[CalibratedModel, Scorer]:
    assert feature_map.n_ids == N_IDS
    calibrated = CalibratedModel(random_model(name, 24, 16, precision=precision).float(), "classification")
    calibrated.calibrate(0.2, 0.1)
    return calibrated, Scorer(calibrated, feature_map)


def rows_of(feature_map: FeatureMap, n: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    random = np.random.default_rng(1)
    ids = [random.choice([field.unknown_id, *field.ids(np.arange(field.size))], n) for field in feature_map.fields]
    x = random.normal(size=(n, len(feature_map.x_columns)))
    return np.stack(ids, axis=1).astype(np.int32), x.astype(np.float32)


@pytest.mark.parametrize("feature_map", [LOOKED_UP, WITH_X], ids=["looked up", "with x"])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", REGISTRY)
def test_a_rows_score_is_the_same_bit_for_bit_whatever_rows_come_with_it(
    name: str, precision: str, feature_map: FeatureMap
) -> None:
    (calibrated, scorer), (ids, x) = scorer_of(name, feature_map, precision), rows_of(feature_map, 3000)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        whole = scorer.columns(ids, x)
        for rows in (
            slice(7),
            slice(1, 2),
            slice(3, 1026),
            slice(1000, 2999),
            np.random.default_rng(2).permutation(3000),
        ):
            assert np.array_equal(scorer.columns(ids[rows], x[rows]), whole[rows])
        batch = EncodedBatch.of_columns(torch.from_numpy(ids).long(), torch.from_numpy(x), feature_map.value_index)
        assert np.array_equal(scorer.batch(batch).numpy(), whole)
        model = calibrated.score(batch).detach().numpy()
    finally:
        torch.set_num_threads(before)
    assert whole.std() > 0.05
    # Without AVX512-BF16 the model's own products are float32; the scorer rounds as the training did, everywhere.
    rounds_alike = precision == "float32" or native_cpu.level() > 1
    np.testing.assert_allclose(whole, model, atol=1e-5 if rounds_alike else 2e-2)


def test_no_rows_have_no_scores() -> None:
    _, scorer = scorer_of("afm", LOOKED_UP)
    assert scorer.columns(*rows_of(LOOKED_UP, 0)).shape == (0,)


@pytest.mark.parametrize("exact", [True, False])
def test_few_rows_are_a_smaller_batch_only_where_products_round_alike(
    monkeypatch: pytest.MonkeyPatch, exact: bool
) -> None:
    _, scorer = scorer_of("fm", LOOKED_UP)
    outputs, sizes = scorer._outputs, list[int]()

    def as_on_another_machine(batch: EncodedBatch) -> torch.Tensor:
        sizes.append(len(batch.ids))
        return outputs(batch) + (0.0 if exact else len(batch.ids) * 1e-3)

    monkeypatch.setattr(scorer, "_outputs", as_on_another_machine)
    ids, x = rows_of(LOOKED_UP, 2000)
    whole = scorer.columns(ids, x)
    assert np.array_equal(scorer.columns(ids[:3], x[:3]), whole[:3])
    assert sizes[-1] == (FEW_ROWS if exact else BATCH_ROWS)
