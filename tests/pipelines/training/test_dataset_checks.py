"""Datasets from which nothing can be learnt are refused before the training."""

from typing import Any

import pytest

from afm_core.errors import DatasetError
from pipelines.dataset import Dataset, Manifest
from pipelines.training.dataset_checks import checked_dataset
from tests.support.small import Small


def changed(small: Small, **values: Any) -> Dataset:
    dataset = Dataset.open(small.settings.dataset.path)
    dataset.manifest = dataset.manifest.model_copy(update=values)
    return dataset


def test_a_usual_dataset_is_accepted(small: Small) -> None:
    assert checked_dataset(small.settings, changed(small)).manifest.positives


@pytest.mark.parametrize("split", ["train", "valid"])
def test_a_split_without_rows(small: Small, split: str) -> None:
    splits = Dataset.open(small.settings.dataset.path).manifest.splits
    empty = splits[split].model_copy(update={"rows": 0, "files": 0})
    with pytest.raises(DatasetError, match=f"dataset: its {split} split has no rows; prepare it from more logs"):
        checked_dataset(small.settings, changed(small, splits={**splits, split: empty}))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (lambda all_: {"positives": all_, "negatives_asked": 0}, r"all [\d,]+ labels are positive, so that"),
        (lambda all_: {"positives": all_, "negatives_asked": 300}, r"positive \(300 negatives asked for, none found\)"),
        (lambda all_: {"positives": 0, "negatives_asked": 0}, r"all [\d,]+ labels are negative"),
    ],
)
def test_labels_that_are_all_the_same(small: Small, values: Any, message: str) -> None:
    manifest: Manifest = Dataset.open(small.settings.dataset.path).manifest
    with pytest.raises(DatasetError, match=message):
        checked_dataset(small.settings, changed(small, **values(manifest.instances)))
    numbers = small.settings.label.model_copy(update={"column": "stars", "range": (1.0, 5.0)})
    with_numbers = small.settings.model_copy(update={"label": numbers})
    assert checked_dataset(with_numbers, changed(small, **values(manifest.instances)))
