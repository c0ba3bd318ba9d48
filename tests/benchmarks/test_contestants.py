"""The benchmark's own code runs: our contestants on a small shape, and the report of what they found."""

import pytest

from tests.benchmarks.contestants import Prepared, Shape
from tests.benchmarks.pair_attention import markdown

SMALL = Shape(3, 16, 8)


@pytest.mark.parametrize("name", ["ours", "ours, float32", "plain torch", "matrix products, float32"])
def test_a_contestant_learns_and_predicts(name: str) -> None:
    prepared = Prepared(name)
    answers = [prepared.measure(SMALL, task, seconds=0.0) for task in ("training", "inference")]
    assert all(answer["rate"] > 0 for answer in answers)


def test_the_report_names_ratios_and_what_did_not_fit() -> None:
    fast = {"training": 300.0, "inference": 900.0, "training_mib": 10.0}
    slow = {"training": 100.0, "inference": 100.0, "training_mib": 55.0}
    names = ("plain torch", "DeepCTR-Torch", "matrix products, bfloat16")
    report = markdown(
        "a machine", [(SMALL, {"ours": fast, **dict.fromkeys(names, slow), "FuxiCTR": {"out_of_memory": 1}})]
    )
    assert "| 3 | 16 | 8 | 300 | 100 | 100 | 100 | no memory | 3.00 | 3.00 |" in report
    assert report.rstrip().endswith("| 10 | 55 | 55 | no memory | 5.5 |")
