import numpy as np
import pytest

from afm_core.learning.calibration import fit_clipped, fit_platt


def rows(n: int, slope: float, intercept: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    output = random.normal(0, 2, n).astype(np.float32)
    chance = 1 / (1 + np.exp(-(slope * output + intercept)))
    return output, np.where(random.random(n) < chance, 1.0, -1.0).astype(np.float32)


def alone(values: list[float]) -> list[float]:
    return values


def test_it_finds_the_slope_and_intercept_that_made_the_labels() -> None:
    slope, intercept = fit_platt(*rows(200_000, 0.6, -1.0), alone)
    assert slope == pytest.approx(0.6, abs=0.02)
    assert intercept == pytest.approx(-1.0, abs=0.02)


def test_rows_of_two_ranks_give_what_all_rows_give() -> None:
    output, label = rows(1000, 1.5, 0.3)
    whole = fit_platt(output, label, alone)

    def of_both(values: list[float]) -> list[float]:
        return [2 * value for value in values]  # the other rank has the same rows

    halves = fit_platt(np.concatenate([output, output]), np.concatenate([label, label]), alone)
    assert fit_platt(output, label, of_both) == pytest.approx(halves)
    assert halves == pytest.approx(whole, abs=0.02)


def test_separable_rows_and_rows_of_one_class_have_an_answer() -> None:
    slope, intercept = fit_platt(np.array([-1, 1], np.float32), np.array([-1, 1], np.float32), alone)
    assert 0 < slope < 10
    assert abs(intercept) < 1e-6
    assert fit_platt(np.ones(3, np.float32), np.ones(3, np.float32), alone) == (1.0, 0.0)
    constant = fit_platt(np.zeros(4, np.float32), np.array([1, -1, -1, -1], np.float32), alone)
    assert constant[1] == pytest.approx(np.log((1 / 3 * 2 + 3 * 0.2) / (1 / 3 + 3 * 0.8)), abs=1e-3)


def clipped_error(slope: float, intercept: float, output: np.ndarray, label: np.ndarray) -> float:
    return float((np.maximum(0.0, 1.0 - label * (slope * output + intercept)) ** 2).mean())


def test_the_line_of_least_clipped_error_cannot_be_improved() -> None:
    output, label = rows(5000, 0.8, -0.5)
    slope, intercept = fit_clipped(output, label, alone)
    best = clipped_error(slope, intercept, output, label)
    for step in (0.01, 0.1):
        for a, b in ((step, 0.0), (-step, 0.0), (0.0, step), (0.0, -step)):
            assert clipped_error(slope + a, intercept + b, output, label) > best
    assert best < 0.95 * clipped_error(1.0, 0.0, output, label)


def test_separable_rows_end_without_clipped_error() -> None:
    output, label = np.array([-2, -1, 1, 2], np.float32), np.array([-1, -1, 1, 1], np.float32)
    assert clipped_error(*fit_clipped(output, label, alone), output, label) == pytest.approx(0.0, abs=1e-12)
    assert fit_clipped(np.zeros(4, np.float32), label, alone) == pytest.approx((1.0, 0.0), abs=1e-6)
