import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch

from afm_core.errors import DatasetError
from afm_core.storage.opening import OpenVersion
from pipelines.dataset import Dataset
from pipelines.feeding.split_reader import read_split
from tests.support.small import Small


@pytest.fixture
def copy(small: Small, tmp_path: Path) -> Dataset:
    return Dataset.open(Path(shutil.copytree(small.settings.dataset.path, tmp_path / "dataset")))


def test_every_row_comes_as_it_is_stored_and_in_that_order(small: Small) -> None:
    dataset = small.dataset
    table = pq.ParquetDataset(dataset.files("train")).read()
    batches = list(read_split(dataset, "train", 100, with_row_keys=True))
    assert len(dataset.files("train")) > 1, "batches span files"
    assert [len(batch.label) for batch in batches[:-1]] == [100] * (len(table) // 100)
    assert torch.cat([batch.row_key for batch in batches]).tolist() == table["row_key"].to_pylist()
    assert torch.cat([batch.label for batch in batches]).tolist() == table["label"].to_pylist()
    ids = torch.cat([batch.encoded.ids for batch in batches])
    for column, name in enumerate(dataset.feature_map.id_columns):
        assert ids[:, column].tolist() == table[name].to_pylist()


def test_batches_have_the_types_of_the_models(small: Small) -> None:
    batch = next(read_split(small.dataset, "test", 64))
    assert batch.encoded.ids.dtype == torch.int64
    assert batch.encoded.values.dtype == batch.label.dtype == torch.float32
    assert (batch.row_key, batch.weight) == (None, None)


@pytest.mark.parametrize("fault", ["deleted", "truncated", "other rows"])
def test_a_damaged_file_is_named_before_anything_is_read(copy: Dataset, fault: str) -> None:
    last = copy.files("train")[-1]
    match fault:
        case "deleted":
            last.unlink()
        case "truncated":
            last.write_bytes(last.read_bytes()[:-100])
        case "other rows":
            pq.write_table(pq.read_table(last).slice(1), last)
    with pytest.raises(DatasetError, match=last.name):
        read_split(copy, "train", 64)


def test_a_file_that_is_damaged_meanwhile_is_named(copy: Dataset) -> None:
    last = copy.files("train")[-1]
    batches = read_split(copy, "train", 64)
    next(batches)
    last.write_bytes(last.read_bytes()[:200])
    with pytest.raises(DatasetError, match=rf"{last.name}: changed since the dataset was prepared"):
        list(batches)


def test_a_split_without_rows_is_refused(small: Small) -> None:
    manifest = small.dataset.manifest
    none = manifest.splits["test"].model_copy(update={"rows": 0, "files": 0})
    without = manifest.model_copy(update={"splits": {**manifest.splits, "test": none}})
    with pytest.raises(DatasetError, match="its test split has no rows"):
        read_split(Dataset(OpenVersion(small.dataset.path), without, small.dataset.feature_map), "test", 64)
