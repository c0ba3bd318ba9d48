"""Metrics against loops, and sums of parts against the whole."""

import math
from itertools import groupby

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from afm_core.learning.metrics import BY_ROWS, Scored, all_metrics, metrics_at
from afm_core.learning.tasks import TASKS

ROW = st.tuples(
    st.sampled_from([-1.0, -0.5, -0.1, 0.0, 0.2, 0.7, 1.0]), st.sampled_from([-1.0, 1.0]), st.integers(0, 3)
)
ROWS = st.lists(ROW, min_size=2, max_size=40)
Row = tuple[float, float, int]


def scored(rows: list[Row]) -> Scored:
    score, label = (np.array([row[at] for row in rows], dtype=np.float32) for at in (0, 1))
    task = TASKS["regression"]
    assert task.value is not None
    assert task.probability is not None
    lists = np.array([row[2] for row in rows])
    return Scored(score, label, task.value(score), task.probability(score), lists)


def chance(score: float) -> float:
    return min(max((score + 1) / 2, 1e-6), 1 - 1e-6)


def pairs_in_order(rows: list[Row]) -> list[float]:
    return [(p > n) + 0.5 * (p == n) for p, y, _ in rows if y > 0 for n, z, _ in rows if z < 0]


def lists_of(rows: list[Row]) -> list[list[Row]]:
    return [list(found) for _, found in groupby(sorted(rows, key=lambda row: row[2]), key=lambda row: row[2])]


def same(found: float, expected: float | None) -> bool:
    return math.isnan(found) if expected is None else found == pytest.approx(expected)


def mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None


@given(ROWS)
def test_metrics_of_rows_equal_their_loops(rows: list[Row]) -> None:
    actual = {name: metric.of(scored(rows)) for name, metric in BY_ROWS.items()}
    n, positives = len(rows), sum(y > 0 for _, y, _ in rows)
    loss = -sum(math.log(chance(s) if y > 0 else 1 - chance(s)) for s, y, _ in rows) / n
    assert same(actual["rmse"], math.sqrt(sum((s - y) ** 2 for s, y, _ in rows) / n))
    assert same(actual["mae"], sum(abs(s - y) for s, y, _ in rows) / n)
    assert same(actual["log_loss"], loss)
    share = positives / n
    entropy = -(share * math.log(share) + (1 - share) * math.log(1 - share)) if 0 < share < 1 else None
    assert same(actual["normalised_entropy"], loss / entropy if entropy else None)
    assert same(actual["calibration_ratio"], sum((s + 1) / 2 for s, _, _ in rows) / positives if positives else None)
    bins: dict[int, list[float]] = {}
    for s, y, _ in rows:
        bins.setdefault(min(14, int((np.float64(np.float32(s)) + 1) / 2 * 15)), []).append((s + 1) / 2 - (y > 0))
    error = sum(abs(sum(gaps)) for gaps in bins.values()) / n
    assert actual["expected_calibration_error"] == pytest.approx(error, abs=1e-7)


@given(ROWS)
def test_metrics_of_order_equal_their_loops(rows: list[Row]) -> None:
    actual = {name: metric.of(scored(rows)) for name, metric in BY_ROWS.items()}
    assert same(actual["auc"], mean(pairs_in_order(rows)))
    positives, area, recalled = sum(y > 0 for _, y, _ in rows), 0.0, 0
    for threshold in sorted({s for s, _, _ in rows}, reverse=True):
        shown = [y > 0 for s, y, _ in rows if s >= threshold]
        area += sum(shown) / len(shown) * (sum(shown) - recalled)
        recalled = sum(shown)
    assert same(actual["average_precision"], area / positives if positives else None)


@given(ROWS, st.integers(1, 4))
def test_metrics_of_lists_equal_their_loops(rows: list[Row], k: int) -> None:
    metrics = all_metrics(scored(rows), [k])
    assert same(metrics["list_auc"], mean([mean(p) for rows in lists_of(rows) if (p := pairs_in_order(rows))]))
    hits, gains = [], []
    for members in lists_of(rows):
        ranked = [y > 0 for s, y, _ in sorted(members, key=lambda row: (-row[0], row[1]))]
        if any(ranked):
            hits.append(float(any(ranked[:k])))
            best = sum(1 / math.log2(at + 2) for at in range(min(k, sum(ranked))))
            gains.append(sum(1 / math.log2(at + 2) for at, y in enumerate(ranked[:k]) if y) / best)
    assert same(metrics[f"hit_rate_at_{k}"], mean(hits))
    assert same(metrics[f"ndcg_at_{k}"], mean(gains))


def test_known_values() -> None:
    metrics = all_metrics(scored([(0.5, 1.0, 0), (-0.5, -1.0, 0), (0.0, 1.0, 0)]), [1])
    assert metrics["rmse"] == pytest.approx(math.sqrt((0.25 + 0.25 + 1.0) / 3))
    assert metrics["mae"] == pytest.approx(2.0 / 3)
    assert metrics["auc"] == metrics["list_auc"] == metrics["hit_rate_at_1"] == metrics["ndcg_at_1"] == 1.0
    assert metrics["log_loss"] == pytest.approx(-(2 * math.log(0.75) + math.log(0.5)) / 3)


def test_only_what_the_rows_allow_is_computed() -> None:
    score, label = np.array([0.1, 0.9]), np.array([-0.3, 0.4])
    assert set(all_metrics(Scored(score, label, value=score, probability=score), [5])) == {"rmse", "mae"}
    ranked = Scored(score, np.array([-1.0, 1.0]), lists=np.zeros(2, dtype=np.int64))
    wanted = {"auc", "average_precision", "list_auc", "hit_rate_at_5", "ndcg_at_5"}
    assert set(all_metrics(ranked, [5])) == wanted
    assert wanted < set(metrics_at([5]))


def test_equal_scores_gain_nothing_at_the_top_of_a_list() -> None:
    metrics = all_metrics(scored([(0.0, 1.0, 0), (0.0, -1.0, 0)]), [1])
    assert metrics["hit_rate_at_1"] == metrics["ndcg_at_1"] == 0.0
