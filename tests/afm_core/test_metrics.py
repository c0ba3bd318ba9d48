import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from afm_core.learning.metrics import all_metrics, auc, log_loss, mae, rmse

SCORED = st.lists(
    st.tuples(st.sampled_from([-1.0, -0.5, -0.1, 0.0, 0.2, 0.7, 1.0]), st.sampled_from([-1.0, 1.0])),
    min_size=2,
    max_size=40,
)


def arrays(scored):
    score, label = (np.array(side, dtype=np.float32) for side in zip(*scored, strict=True))
    return score, label


@given(SCORED)
def test_metrics_equal_their_loops(scored) -> None:
    score, label = arrays(scored)
    errors = [float(s) - float(y) for s, y in zip(score, label, strict=True)]
    assert rmse(score, label) == pytest.approx(math.sqrt(sum(e * e for e in errors) / len(errors)))
    assert mae(score, label) == pytest.approx(sum(map(abs, errors)) / len(errors))
    chances = [min(max((float(s) + 1) / 2, 1e-6), 1 - 1e-6) for s in score]
    nats = [-math.log(q if y > 0 else 1 - q) for q, y in zip(chances, label, strict=True)]
    assert log_loss(score, label) == pytest.approx(sum(nats) / len(nats))


@given(SCORED)
def test_auc_is_the_share_of_ordered_pairs(scored) -> None:
    score, label = arrays(scored)
    pairs = [(p > n) + 0.5 * (p == n) for p in score[label > 0] for n in score[label < 0]]
    if pairs:
        assert auc(score, label) == pytest.approx(sum(pairs) / len(pairs))
    else:
        assert math.isnan(auc(score, label))


def test_known_values() -> None:
    score, label = np.array([0.5, -0.5, 0.0], np.float32), np.array([1.0, -1.0, 1.0], np.float32)
    found = all_metrics(score, label)
    assert found["rmse"] == pytest.approx(math.sqrt((0.25 + 0.25 + 1.0) / 3))
    assert found["mae"] == pytest.approx(2.0 / 3)
    assert found["auc"] == 1.0
    assert found["log_loss"] == pytest.approx(-(2 * math.log(0.75) + math.log(0.5)) / 3)
