"""Gibbs sampling of an FM against closed forms, and the mean of its draws against the draws."""

import ctypes
import math

import numpy as np
import pytest
import torch

from afm_core.features import FeatureMap
from afm_core.features.field import Categorical, Numeric, Tags
from afm_core.kernels import native_library
from afm_core.learning.gibbs import GibbsSampler, PosteriorMean, TrainingRows
from afm_core.models import EncodedBatch, Shape, build_model
from afm_core.settings.model import ModelSettings

pytestmark = pytest.mark.skipif(native_library.native_library() is None, reason="the kernels are not compiled")
FEATURES = FeatureMap.lay_out(
    (
        Categorical(name="user"),
        Categorical(name="item"),
        Numeric(name="price", kind="numeric"),
        Tags(name="tags", kind="tags", length=3),
    ),
    [30, 20, 1, 6],
)


def random_rows(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Ids and x_i: the last three users are in no row, and rows have none to three tags."""
    random = np.random.default_rng(seed)
    user, item, price, tags = FEATURES.fields
    columns = [
        user.ids(random.integers(0, 27, n)),
        item.ids(random.integers(0, 20, n)),
        np.full(n, price.ids(np.array([0]))[0]),
    ]
    drawn = np.stack([tags.ids(random.permutation(6)[:3]) for _ in range(n)])
    present = np.arange(3) < random.integers(0, 4, n)[:, None]
    ids = np.column_stack([*columns, np.where(present, drawn, 0)]).astype(np.int32)
    x = np.ones(ids.shape, np.float32)
    x[:, 2] = random.normal(size=n)
    x[:, 3:] = present / np.maximum(present.sum(1, keepdims=True), 1)
    return ids, x


def fm_of(bias: float, linear: np.ndarray, vectors: np.ndarray) -> torch.nn.Module:
    """The product's FM with weights by id, (n_ids,) and (n_ids, k)."""
    model = build_model(ModelSettings(name="fm", embedding_dim=vectors.shape[1]), Shape.of(FEATURES)).double()
    with torch.no_grad():
        model.factors.bias.fill_(bias)
        model.factors.linear.weight.copy_(torch.from_numpy(linear)[:, None])
        model.factors.embedding.weight.copy_(torch.from_numpy(vectors))
    return model.eval()


def outputs(model: torch.nn.Module, ids: np.ndarray, x: np.ndarray) -> np.ndarray:
    encoded = EncodedBatch(torch.from_numpy(ids).long(), torch.from_numpy(x).double(), torch.from_numpy(ids > 0))
    with torch.inference_mode():
        return model(encoded).numpy()


def current(sampler: GibbsSampler) -> torch.nn.Module:
    by_id = np.zeros((FEATURES.n_ids, len(sampler.weights)))
    by_id[sampler.ids] = sampler.weights.T
    return fm_of(sampler.bias, by_id[:, 0], by_id[:, 1:])


def mean_of(mean: PosteriorMean, k: int) -> torch.nn.Module:
    bias, linear, vectors = torch.zeros(()), torch.ones(FEATURES.n_ids, 1), torch.ones(FEATURES.n_ids, k)
    mean.write_to(bias, linear, vectors)
    assert not linear[0].any()
    assert not vectors[0].any()
    return fm_of(float(bias), linear[:, 0].double().numpy(), vectors.double().numpy())


@pytest.fixture(scope="module")
def truth() -> torch.nn.Module:
    random = np.random.default_rng(7)
    return fm_of(0.3, random.normal(size=FEATURES.n_ids), random.normal(size=(FEATURES.n_ids, 2)))


def labelled(truth: torch.nn.Module, n: int, seed: int, noise: float) -> TrainingRows:
    ids, x = random_rows(n, seed)
    drawn = outputs(truth, ids, x) + noise * np.random.default_rng(seed + 1).normal(size=n)
    return TrainingRows(ids, x, drawn.astype(np.float32))


def signs(rows: TrainingRows) -> TrainingRows:
    return TrainingRows(rows.ids, rows.x, np.where(rows.label > 0, 1, -1).astype(np.float32))


@pytest.mark.parametrize("probit", [False, True])
def test_the_outputs_that_it_keeps_up_are_those_of_its_weights(truth: torch.nn.Module, probit: bool) -> None:
    rows = labelled(truth, 300, 1, 0.5)
    rows = signs(rows) if probit else rows
    sampler = GibbsSampler(FEATURES, rows, length=3, probit=probit, seed=1)
    for _ in range(5):
        sampler.sweep()
        np.testing.assert_allclose(sampler.output, outputs(current(sampler), rows.ids, rows.x), rtol=0, atol=1e-9)


def test_the_same_draws_with_any_number_of_threads(truth: torch.nn.Module) -> None:
    drawn, before = [], torch.get_num_threads()
    for threads, seed in ((1, 1), (2, 1), (5, 1), (1, 2)):
        torch.set_num_threads(threads)
        sampler = GibbsSampler(FEATURES, signs(labelled(truth, 500, 1, 0.5)), length=3, probit=True, seed=seed)
        for _ in range(4):
            sampler.sweep()
        drawn.append(sampler.weights)
    torch.set_num_threads(before)
    assert np.array_equal(drawn[0], drawn[1])
    assert np.array_equal(drawn[0], drawn[2])
    assert not np.array_equal(drawn[0], drawn[3]), "another seed"


def test_it_finds_the_fm_that_made_the_labels_and_its_noise(truth: torch.nn.Module) -> None:
    rows = labelled(truth, 4000, 1, 0.5)
    sampler = GibbsSampler(FEATURES, rows, length=4, probit=False, seed=1)
    mean, noise, single = None, [], []
    ids, x = random_rows(500, 99)
    wanted = outputs(truth, ids, x)
    for sweep in range(150):
        sampler.sweep()
        if sweep >= 50:
            mean = mean or PosteriorMean(sampler, 8)
            mean.add(sampler)
            noise.append(sampler.noise**-0.5)
            single.append(np.std(outputs(current(sampler), ids, x) - wanted))
    error = np.std(outputs(mean_of(mean, 8), ids, x) - wanted)
    assert np.mean(noise) == pytest.approx(0.5, rel=0.05)
    assert error < 0.1 * np.std(wanted)
    assert error < 0.8 * np.mean(single), "the mean is better than the draws"


def test_a_probit_separates_rows_that_it_has_not_seen(truth: torch.nn.Module) -> None:
    sampler = GibbsSampler(FEATURES, signs(labelled(truth, 4000, 1, 0.5)), length=4, probit=True, seed=1)
    mean = PosteriorMean(sampler, 8)
    for _ in range(60):
        sampler.sweep()
        if sampler.sweeps > 20:
            mean.add(sampler)
    ids, x = random_rows(1000, 99)
    assert np.corrcoef(outputs(mean_of(mean, 8), ids, x), outputs(truth, ids, x))[0, 1] > 0.95


def test_the_mean_of_few_draws_is_exact_and_features_without_rows_follow_their_field(truth: torch.nn.Module) -> None:
    rows = labelled(truth, 300, 1, 0.5)
    sampler = GibbsSampler(FEATURES, rows, length=2, probit=False, seed=1)
    mean, shorter, drawn = PosteriorMean(sampler, 12), PosteriorMean(sampler, 4), []
    for _ in range(6):
        sampler.sweep()
        mean.add(sampler)
        shorter.add(sampler)
        drawn.append(outputs(current(sampler), rows.ids, rows.x))
    np.testing.assert_allclose(outputs(mean_of(mean, 12), rows.ids, rows.x), np.mean(drawn, axis=0), rtol=0, atol=1e-4)
    unseen = np.isin(sampler.ids, [*FEATURES.fields[0].ids(np.array([27, 28, 29])), FEATURES.fields[0].unknown_id])
    assert (sampler.weights[:, unseen] == sampler._mean[:, :1]).all()
    assert sampler._mean[:, 0].all()
    nearly = outputs(mean_of(shorter, 4), rows.ids, rows.x)
    assert np.corrcoef(nearly, np.mean(drawn, axis=0))[0, 1] > 0.98


def test_latent_numbers_have_the_moments_of_cut_normal_ones() -> None:
    n, library = 20_000, native_library.native_library()
    for output in (-7.0, -1.0, 0.0, 0.4, 2.0, 7.0):
        for sign in (-1.0, 1.0):
            label, latent, residual = np.full(n, sign, np.float32), np.full(n, output), np.zeros(n)
            library.afm_gibbs_latents(
                *(ctypes.c_void_p(label.ctypes.data), ctypes.c_int64(n), ctypes.c_uint64(5), ctypes.c_int(2)),
                *(ctypes.c_void_p(latent.ctypes.data), ctypes.c_void_p(residual.ctypes.data)),
            )
            assert (latent * sign > 0).all()
            np.testing.assert_allclose(latent - residual, output, atol=1e-12)
            density = math.exp(-0.5 * output**2) / math.sqrt(2 * math.pi)
            ratio = density / (0.5 * math.erfc(-sign * output / math.sqrt(2)))
            variance = 1.0 - ratio * (ratio + sign * output)
            assert latent.mean() == pytest.approx(output + sign * ratio, abs=4 * math.sqrt(variance / n))
            assert latent.var() == pytest.approx(variance, rel=0.1)


def test_a_weight_is_drawn_from_its_conditional_distribution() -> None:
    """One row for each of many values of a field, so that each weight is an independent draw of the same kind."""
    n = 20_000
    features = FeatureMap.lay_out((Categorical(name="user"),), [n])
    ids = features.fields[0].ids(np.arange(n))[:, None]
    rows = TrainingRows(ids, np.full((n, 1), 2.0, np.float32), np.full(n, 3.0, np.float32))
    sampler = GibbsSampler(features, rows, length=0, probit=False, seed=1)
    sampler.sweep()
    mean, precision = sampler._mean[0, 0], sampler._precision[0, 0]
    total = precision + sampler.noise * 4.0
    wanted = (precision * mean + sampler.noise * 2.0 * (3.0 - sampler.bias)) / total
    drawn = sampler.weights[0, sampler.counts > 0]
    assert drawn.mean() == pytest.approx(wanted, abs=4 / math.sqrt(total * n))
    assert drawn.var() == pytest.approx(1 / total, rel=0.05)
