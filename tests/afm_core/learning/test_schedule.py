import pytest

from afm_core.learning.schedule import n_plateaus, rate_factor


def test_a_constant_rate_rises_and_stays() -> None:
    assert [rate_factor(step, 6, "constant", 4) for step in range(6)] == [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]
    assert rate_factor(0, 6, "constant") == 1.0


@pytest.mark.parametrize(("schedule", "half"), [("linear", 0.5), ("cosine", 0.5)])
def test_a_falling_rate_ends_at_zero(schedule: str, half: float) -> None:
    factors = [rate_factor(step, 100, schedule, 20) for step in range(101)]
    assert factors[20] == 1.0
    assert factors[60] == pytest.approx(half)
    assert factors[100] == pytest.approx(0.0)
    assert factors[20:] == sorted(factors[20:], reverse=True)


def test_results_that_are_no_better_than_the_best_are_plateaus() -> None:
    assert [n_plateaus([3.0, 2.0, 2.0, 2.5, 1.0, 1.5][:n]) for n in range(7)] == [0, 0, 0, 1, 2, 2, 3]
    assert rate_factor(5, 6, "plateau") == 1.0
