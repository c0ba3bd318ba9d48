import math

import torch
from hypothesis import given
from hypothesis import strategies as st

from afm_core.learning.losses import log_loss, pair_log_loss, squared_error, squared_error_with_overshoot_penalty

ROWS = st.lists(st.tuples(st.floats(-5, 5), st.sampled_from([-1.0, 1.0])), min_size=1, max_size=30)


def test_a_weight_of_two_counts_like_the_row_twice() -> None:
    output, label = torch.randn(5), torch.randn(5).sign()
    weight = torch.tensor([1.0, 2.0, 0.0, 1.0, 1.0])
    twice = torch.tensor([0, 1, 1, 3, 4])
    for loss in (squared_error, log_loss):
        torch.testing.assert_close(loss(output, label, weight)[0], loss(output[twice], label[twice])[0])
        torch.testing.assert_close(loss(output, label)[0], loss(output, label, torch.ones(5))[0])


@given(ROWS)
def test_log_loss_equals_its_loop(rows: list[tuple[float, float]]) -> None:
    output, label = (torch.tensor(side, dtype=torch.float64) for side in zip(*rows, strict=True))
    total, count = log_loss(output, label)
    assert math.isclose(total.item(), sum(math.log1p(math.exp(-y * z)) for z, y in rows), rel_tol=1e-9)
    assert count == len(rows)


@given(ROWS)
def test_pair_log_loss_compares_each_negative_with_the_positive_before_it(rows: list[tuple[float, float]]) -> None:
    output, label = (torch.tensor(side, dtype=torch.float64) for side in zip(*rows, strict=True))
    total, count = pair_log_loss(output, label)
    expected, positive = [], None
    for z, y in rows:
        if y > 0:
            positive = z
        elif positive is not None:
            expected.append(math.log1p(math.exp(z - positive)))
    assert math.isclose(total.item(), sum(expected), rel_tol=1e-9, abs_tol=1e-12)
    assert count == len(expected)


def test_a_weight_of_a_pair_is_that_of_its_positive() -> None:
    output, label = torch.tensor([1.0, 0.5, 0.2, 0.0]), torch.tensor([1.0, -1.0, 1.0, -1.0])
    both, first = pair_log_loss(output, label), pair_log_loss(output, label, torch.tensor([1.0, 9.0, 0.0, 9.0]))
    torch.testing.assert_close(first[0], torch.nn.functional.softplus(torch.tensor(-0.5)))
    assert both[1] == first[1] == 2


@given(ROWS, st.sampled_from([0.0, 0.25, 1.0]))
def test_an_overshoot_counts_as_much_as_is_said(rows: list[tuple[float, float]], overshoot_penalty: float) -> None:
    output, label = (torch.tensor(side, dtype=torch.float64) for side in zip(*rows, strict=True))
    total, _ = squared_error_with_overshoot_penalty(overshoot_penalty)(output, label, None)
    expected = sum((overshoot_penalty if y * z > 1 else 1.0) * (y - z) ** 2 for z, y in rows)
    assert math.isclose(total.item(), expected, rel_tol=1e-9, abs_tol=1e-12)
    between = torch.full_like(output, 0.3)
    assert (
        squared_error_with_overshoot_penalty(overshoot_penalty)(output, between, None)[0]
        == squared_error(output, between)[0]
    )
