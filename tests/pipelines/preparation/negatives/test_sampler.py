import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.preparation.negatives.sampler import Contexts, Unseen, draw_unseen, popularity_weights


def uniform_draws(rows: int, n: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 2**64, size=(rows, n), dtype=np.uint64)


def draw(group, item, draws, weights, *contexts):
    _, group = np.unique(group, return_inverse=True)
    return draw_unseen(Unseen(group, item, weights), group, draws, weights, *contexts)


def chi_square(counts: np.ndarray, shares: np.ndarray) -> float:
    expected = counts.sum() * shares / shares.sum()
    return float(((counts - expected) ** 2 / expected).sum())


@given(
    rows=st.lists(st.tuples(st.integers(-5, 5), st.integers(-2, 7)), min_size=1, max_size=60),
    weights=st.lists(st.integers(0, 2**20), min_size=8, max_size=8),
    n=st.integers(0, 4),
    seed=st.integers(0, 1000),
    hard=st.booleans(),
)
def test_drawn_items_are_distinct_unseen_and_as_many_as_there_are(rows, weights, n, seed, hard) -> None:
    group, item = np.array([g for g, _ in rows]), np.array([i for _, i in rows])
    weights = np.array(weights)
    contexts = ()
    if hard:
        inside = sorted({(g % 3, i) for g, i in rows if i >= 0})
        table = np.array(inside, dtype=np.int64).reshape(-1, 2)
        contexts = (Contexts(table[:, 0], table[:, 1], np.ones(len(table), dtype=np.int64)), group % 3)
        if not len(table):
            contexts = ()
    items, found = draw(group, item, uniform_draws(len(rows), n, seed), weights, *contexts)
    for row, (this_group, _) in enumerate(rows):
        seen = {i for g, i in rows if g == this_group and i >= 0}
        open_items = {i for i in range(8) if weights[i] > 0} - seen
        drawn = items[row][found[row]].tolist()
        assert len(drawn) == len(set(drawn)) == min(n, len(open_items))
        assert set(drawn) <= open_items


def test_every_set_of_unseen_items_is_equally_likely() -> None:
    rows, seen = 60_000, [1, 2, 5]
    item = np.resize(np.array(seen), rows)
    items, found = draw(np.zeros(rows, dtype=np.int64), item, uniform_draws(rows, 2, 1), np.ones(7, dtype=np.int64))
    assert found.all()
    sets, counts = np.unique(np.sort(items, axis=1), axis=0, return_counts=True)
    assert [tuple(s) for s in sets] == list(itertools.combinations([0, 3, 4, 6], 2))
    assert chi_square(counts, np.ones(6)) < 20.5, "0.1 % of uniform samples exceed 20.5 with 5 degrees of freedom"


@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0])
def test_popular_items_are_drawn_by_their_count_to_the_power_of_alpha(alpha: float) -> None:
    rows, counts = 60_000, np.array([900, 0, 400, 7, 100, 25, 1])
    weights = popularity_weights(counts, alpha)
    group = np.zeros(rows, dtype=np.int64)
    items, found = draw(group, np.full(rows, 2), uniform_draws(rows, 2, 1), weights)
    assert found.all()
    open_items = [0, 3, 4, 5, 6]
    shares = counts[open_items] ** alpha
    first = np.bincount(items[:, 0], minlength=7)
    assert not first[[1, 2]].any()
    assert chi_square(first[open_items], shares) < 18.5, "0.1 % exceed 18.5 with 4 degrees of freedom"
    # The second of two: given that 0 was drawn first, the others in proportion to their own weights.
    second = np.bincount(items[items[:, 0] == 0, 1], minlength=7)
    assert not second[[0, 1, 2]].any()
    assert chi_square(second[open_items[1:]], shares[1:]) < 16.3, "0.1 % exceed 16.3 with 3 degrees of freedom"


def test_hard_items_are_drawn_by_their_count_in_the_context() -> None:
    rows = 40_000
    contexts = Contexts(np.array([3, 3, 3, 8]), np.array([0, 1, 4, 2]), np.array([10, 30, 60, 5]))
    context = np.where(np.arange(rows) % 2, 3, 8)
    weights = np.ones(6, dtype=np.int64)
    items, found = draw(
        np.zeros(rows, dtype=np.int64), np.full(rows, 2), uniform_draws(rows, 1, 4), weights, contexts, context
    )
    assert found.all()
    in_3 = np.bincount(items[context == 3, 0], minlength=6)
    assert not in_3[[2, 3, 5]].any()
    assert chi_square(in_3[[0, 1, 4]], np.array([10, 30, 60])) < 13.8, "0.1 % exceed 13.8 with 2 degrees of freedom"
    nothing_hard = np.bincount(items[context == 8, 0], minlength=6)  # its one item was seen: by weight instead
    assert chi_square(nothing_hard[[0, 1, 3, 4, 5]], np.ones(5)) < 18.5


def test_the_order_of_the_rows_makes_no_difference() -> None:
    random = np.random.default_rng(2)
    group, item = random.integers(0, 9, 500), random.integers(-1, 20, 500)
    draws, weights = uniform_draws(500, 3, 3), random.integers(0, 50, 20)
    items, _ = draw(group, item, draws, weights)
    order = random.permutation(500)
    again, _ = draw(group[order], item[order], draws[order], weights)
    assert (again == items[order]).all()


@pytest.mark.parametrize("n_items", [1, 5_000_000])
def test_extreme_vocabularies(n_items: int) -> None:
    group, item = np.array([-(2**62), 2**62]), np.array([0, n_items - 1])
    weights = np.ones(n_items, dtype=np.int64)
    items, found = draw(group, item, np.full((2, 1), 2**64 - 1, dtype=np.uint64), weights)
    assert found.all() == (n_items > 1)
    if n_items > 1:
        assert items[0, 0] != 0
        assert items[1, 0] != n_items - 1
