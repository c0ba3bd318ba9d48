"""What frequency fields count: the positives of the training split, or all of its rows."""

from pathlib import Path

import numpy as np
import pytest

from tests.support.decoding import decoded
from tests.support.preparing import Prepare, logs


@pytest.mark.parametrize("counted", ["positives", "all"])
def test_a_row_counts_the_others(prepared: Prepare, tmp_path: Path, counted: str) -> None:
    table = logs(200)
    table["fold"] = np.array(["train", "train", "valid", "test"])[np.arange(200) % 4]
    field = {"name": "n", "kind": "frequency", "of": ["item"], "counted": counted}
    prepared(
        table,
        fields=["user", "item", "hour", field],
        label={"column": "rating", "at_least": 3},
        split={"by": "column", "column": "fold"},
    )
    frame = decoded(tmp_path / "dataset")
    in_train = frame["split"] == "train"
    is_counted = in_train & (frame["label"] > 0) if counted == "positives" else in_train
    totals = frame[is_counted]["item"].value_counts()
    expected = np.log1p(frame["item"].map(totals).fillna(0) - is_counted)
    np.testing.assert_allclose(frame["n_x"], expected, rtol=1e-6)
    assert (frame[in_train]["n_x"] > 0).any()
