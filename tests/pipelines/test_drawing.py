import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.preparation.drawing import draw_unseen


def uniform_draws(rows: int, n: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 2**64, size=(rows, n), dtype=np.uint64)


@given(
    rows=st.lists(st.tuples(st.integers(-5, 5), st.integers(-2, 7)), min_size=1, max_size=60),
    n=st.integers(0, 4),
    seed=st.integers(0, 1000),
)
def test_drawn_items_are_distinct_unseen_and_as_many_as_there_are(rows, n, seed) -> None:
    n_items = 8
    group, item = np.array([g for g, _ in rows]), np.array([i for _, i in rows], dtype=np.int32)
    items, found = draw_unseen(group, item, uniform_draws(len(rows), n, seed), n_items)
    for row, (this_group, _) in enumerate(rows):
        seen = {i for g, i in rows if g == this_group and i >= 0}
        drawn = items[row][found[row]].tolist()
        assert len(drawn) == len(set(drawn)) == min(n, n_items - len(seen))
        assert not seen & set(drawn)
        assert all(0 <= i < n_items for i in drawn)


def test_every_set_of_unseen_items_is_equally_likely() -> None:
    rows, n_items, seen = 60_000, 7, [1, 2, 5]
    item = np.resize(np.array(seen, dtype=np.int32), rows)
    items, found = draw_unseen(np.zeros(rows, dtype=np.int64), item, uniform_draws(rows, 2, 1), n_items)
    assert found.all()
    sets, counts = np.unique(np.sort(items, axis=1), axis=0, return_counts=True)
    expected = list(itertools.combinations([0, 3, 4, 6], 2))
    assert [tuple(s) for s in sets] == expected
    chi_square = ((counts - rows / 6) ** 2 / (rows / 6)).sum()
    assert chi_square < 20.5, "0.1 % of uniform samples exceed 20.5 with 5 degrees of freedom"


def test_the_order_of_the_rows_makes_no_difference() -> None:
    random = np.random.default_rng(2)
    group, item = random.integers(0, 9, 500), random.integers(-1, 20, 500).astype(np.int32)
    draws = uniform_draws(500, 3, 3)
    items, _ = draw_unseen(group, item, draws, 20)
    order = random.permutation(500)
    again, _ = draw_unseen(group[order], item[order], draws[order], 20)
    assert (again == items[order]).all()


@pytest.mark.parametrize("n_items", [1, 2**31 - 1])
def test_extreme_vocabularies(n_items: int) -> None:
    group, item = np.array([-(2**62), 2**62]), np.array([0, n_items - 1], dtype=np.int32)
    items, found = draw_unseen(group, item, np.full((2, 1), 2**64 - 1, dtype=np.uint64), n_items)
    assert found.all() == (n_items > 1)
    if n_items > 1:
        assert items[0, 0] != 0
        assert items[1, 0] != n_items - 1
