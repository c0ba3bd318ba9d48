import pytest
from hypothesis import given
from hypothesis import strategies as st

from afm_core.errors import DatasetError
from pipelines.feeding.shard_plan import ShardPlan


@given(
    rows=st.integers(1, 500),
    rows_per_file=st.integers(1, 90),
    size=st.integers(1, 5),
    batch=st.integers(1, 20),
    data=st.data(),
)
def test_every_row_is_read_once_and_all_ranks_take_the_same_steps(rows, rows_per_file, size, batch, data) -> None:
    if rows < size:
        return
    plans = [ShardPlan(rows, rows_per_file, batch * size, rank, size) for rank in range(size)]
    order = data.draw(st.permutations(range(plans[0].n_files)))
    seen = [
        (piece.file, row) for plan in plans for piece in plan.slices(order) for row in range(piece.start, piece.stop)
    ]
    assert len(seen) == len(set(seen)) == rows
    assert len({plan.steps for plan in plans}) == 1
    for plan in plans:
        assert sum(piece.stop - piece.start for piece in plan.slices(order)) == plan.rank_rows(plan.rank)
        assert sum(plan.local_rows(step) for step in range(plan.steps)) == plan.rank_rows(plan.rank)
    assert sum(plans[0].global_rows(step) for step in range(plans[0].steps)) == rows
    assert all(plans[0].global_rows(step) == batch * size for step in range(plans[0].steps - 1))


@given(
    rows=st.integers(1, 400),
    rows_per_file=st.integers(1, 90),
    changes=st.lists(st.tuples(st.integers(1, 4), st.integers(0, 6)), min_size=1, max_size=4),
    data=st.data(),
)
def test_what_is_left_is_read_once_by_whatever_ranks_are_there(rows, rows_per_file, changes, data) -> None:
    """Ranks come and go: each change says how many there are then, and how many steps they take before the next."""
    if rows < 4:
        return
    order = data.draw(st.permutations(range(-(-rows // rows_per_file))))
    left, seen = None, []
    for number, (size, steps) in enumerate(changes):
        plans = [ShardPlan(rows, rows_per_file, 3 * size, rank, size, left) for rank in range(size)]
        taken = plans[0].steps if number == len(changes) - 1 else min(steps, plans[0].steps)
        for plan in plans:
            own = [(piece.file, row) for piece in plan.slices(order) for row in range(piece.start, piece.stop)]
            seen += own[: taken * plan.local_batch]
        assert len(seen) == rows - sum(stop - start for start, stop in plans[0].rest(taken))
        left = plans[0].rest(taken)
    assert len(seen) == len(set(seen)) == rows
    assert left == ()


@given(rows=st.integers(4, 300), size=st.integers(1, 4), steps=st.integers(0, 20))
def test_the_same_ranks_read_on_as_if_nothing_had_happened(rows, size, steps) -> None:
    plans = [ShardPlan(rows, 50, 3 * size, rank, size) for rank in range(size)]
    steps, order = min(steps, plans[0].steps), list(range(plans[0].n_files))
    for plan in plans:
        whole = [(piece.file, row) for piece in plan.slices(order) for row in range(piece.start, piece.stop)]
        rest = plan.resume_at(plan.rest(steps))
        assert whole[steps * plan.local_batch :] == [
            (piece.file, row) for piece in rest.slices(order) for row in range(piece.start, piece.stop)
        ]
        assert rest.steps == plan.steps - steps


def test_a_batch_that_ranks_cannot_share_is_refused_with_the_setting() -> None:
    with pytest.raises(DatasetError, match=r"train\.batch_size = 10 does not divide between 3 ranks"):
        ShardPlan(100, 10, 10, 0, 3)


def test_fewer_rows_than_ranks_are_refused() -> None:
    with pytest.raises(DatasetError, match="3 rows are not enough for 4 ranks"):
        ShardPlan(3, 10, 8, 0, 4)
