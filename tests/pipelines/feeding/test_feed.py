import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from afm_core.errors import DatasetError
from pipelines.dataset import Dataset
from pipelines.feeding.batch import Batch
from pipelines.feeding.feed import Feed
from pipelines.feeding.shard_plan import RowRanges, ShardPlan
from pipelines.feeding.split_reader import read_split
from tests.support.small import Small


def feed(dataset: Dataset, rank: int = 0, size: int = 1, seed: int | None = 1, split: str = "train") -> Feed:
    manifest = dataset.manifest
    plan = ShardPlan(manifest.splits[split].rows, manifest.rows_per_file, 60, rank, size)
    return Feed(dataset, split, plan, seed, with_row_keys=True)


def keys(batches: list[Batch]) -> list[int]:
    return [key for batch in batches for key in batch.row_key.tolist()]


def stored(dataset: Dataset, split: str = "train") -> dict[int, tuple]:
    names = [*dataset.feature_map.names, "label"]
    table = pq.read_table(dataset.path / split)
    return dict(
        zip(table["row_key"].to_pylist(), zip(*[table[n].to_pylist() for n in names], strict=True), strict=True)
    )


@pytest.mark.parametrize("size", [1, 2, 3, 4])
@pytest.mark.parametrize("epoch", [1, 2])
def test_every_training_row_is_read_exactly_once_an_epoch(small: Small, size: int, epoch: int) -> None:
    dataset = Dataset.open(small.settings.dataset.path)
    ranks = [list(feed(dataset, rank, size).epoch(epoch)) for rank in range(size)]
    assert len({len(batches) for batches in ranks}) == 1, "a rank that takes fewer steps stalls the others"
    seen = [key for batches in ranks for key in keys(batches)]
    assert len(seen) == len(set(seen)) == dataset.manifest.splits["train"].rows
    assert set(seen) == set(stored(dataset))


@pytest.mark.parametrize("left", [None, ((100, 400), (500, 650))])
def test_rows_that_stay_in_memory_come_in_the_same_batches(small: Small, left: RowRanges | None) -> None:
    dataset = Dataset.open(small.settings.dataset.path)
    plan = feed(dataset).plan
    stays = Feed(dataset, "train", plan, 1, with_row_keys=True, in_memory=True)
    for epoch in (1, 2, 1):
        assert keys(list(stays.epoch(epoch, left))) == keys(list(feed(dataset).epoch(epoch, left)))


def test_a_file_is_read_once_where_rows_stay_in_memory(small: Small, tmp_path: Path) -> None:
    shutil.copytree(small.settings.dataset.path, tmp_path / "dataset")
    dataset = Dataset.open(tmp_path / "dataset")
    stays = Feed(dataset, "train", feed(dataset).plan, 1, with_row_keys=True, in_memory=True)
    first = keys(list(stays.epoch(1)))
    shutil.rmtree(tmp_path / "dataset" / "train")
    assert sorted(keys(list(stays.epoch(2)))) == sorted(first)


@pytest.mark.parametrize("fault", ["deleted", "truncated"])
def test_a_file_that_breaks_in_mid_epoch_is_named(small: Small, tmp_path: Path, fault: str) -> None:
    shutil.copytree(small.settings.dataset.path, tmp_path / "dataset")
    dataset = Dataset.open(tmp_path / "dataset")
    reading = feed(dataset, seed=None)
    batches = reading.epoch(1)
    next(batches)
    last = dataset.files("train")[-1]
    last.unlink() if fault == "deleted" else last.write_bytes(last.read_bytes()[:200])
    with pytest.raises(DatasetError, match=rf"{last.name}: not a complete Parquet file.*--resume auto"):
        list(batches)


def test_a_batch_in_parts_is_the_batch(small: Small) -> None:
    batch = next(feed(Dataset.open(small.settings.dataset.path)).epoch(1))
    parts = list(batch.parts(7))
    assert len(parts) == 7
    assert keys(parts) == keys([batch])
    assert torch.equal(torch.cat([part.encoded.ids for part in parts]), batch.encoded.ids)
    assert len(list(next(batch.parts(60)).parts(5))) == 1
    empty = Batch(batch.encoded, batch.label[:0], None, None)
    assert len(list(empty.parts(3))) == 1, "a rank without rows takes the step all the same"


def test_rows_arrive_as_they_are_stored(small: Small) -> None:
    dataset = Dataset.open(small.settings.dataset.path)
    expected = stored(dataset)
    for batch in feed(dataset).epoch(1):
        rows = zip(batch.row_key.tolist(), batch.encoded.ids.tolist(), batch.label.tolist(), strict=True)
        for key, ids, label in rows:
            assert (*ids, label) == expected[key]


def test_an_epoch_is_reproducible_and_another_one_is_another_order(small: Small) -> None:
    dataset = Dataset.open(small.settings.dataset.path)
    first, again, second = (keys(list(feed(dataset).epoch(epoch))) for epoch in (1, 1, 2))
    assert first == again
    assert first != second
    other_seed = keys(list(feed(dataset, seed=2).epoch(1)))
    assert first != other_seed
    assert sorted(first) == sorted(second) == sorted(other_seed)


def test_rows_are_permuted_inside_files_and_files_among_themselves(small: Small) -> None:
    dataset = Dataset.open(small.settings.dataset.path)
    as_stored = {key: place for place, key in enumerate(keys(list(feed(dataset, seed=None).epoch(1))))}
    places = np.array([as_stored[key] for key in keys(list(feed(dataset).epoch(1)))])
    files = places // dataset.manifest.rows_per_file
    assert (np.diff(places) != 1).mean() > 0.9
    assert (np.diff(files[np.flatnonzero(np.diff(files, prepend=-1))]) < 0).any(), "files come in stored order"


def test_without_a_seed_rows_keep_their_order(small: Small) -> None:
    dataset = Dataset.open(small.settings.dataset.path)
    table = pq.ParquetDataset(dataset.files("valid")).read(["row_key"])
    assert keys(list(feed(dataset, seed=None, split="valid").epoch(7))) == table["row_key"].to_pylist()


def test_without_a_seed_batches_are_those_of_the_split_reader(small: Small) -> None:
    """Training and evaluation see the same rows, though one reads through Petastorm and the other does not."""
    fed = list(feed(small.dataset, seed=None, split="valid").epoch(1))
    read = list(read_split(small.dataset, "valid", 60, with_row_keys=True))
    for one, other in zip(fed, read, strict=True):
        assert all(map(torch.equal, one.encoded, other.encoded))
        assert torch.equal(one.label, other.label)
        assert torch.equal(one.row_key, other.row_key)


def test_batches_are_full_but_the_last(small: Small) -> None:
    sizes = [len(batch.label) for batch in feed(Dataset.open(small.settings.dataset.path)).epoch(1)]
    assert set(sizes[:-1]) == {60}
    assert 0 < sizes[-1] <= 60


@pytest.fixture
def copy(small: Small, tmp_path: Path) -> Dataset:
    return Dataset.open(Path(shutil.copytree(small.settings.dataset.path, tmp_path / "dataset")))


def test_a_missing_file_is_named(copy: Dataset) -> None:
    copy.files("train")[1].unlink()
    with pytest.raises(DatasetError, match=r"part-000001\.parquet: missing"):
        feed(copy)


def test_a_truncated_file_is_named(copy: Dataset) -> None:
    file = copy.files("train")[0]
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(DatasetError, match=r"part-000000\.parquet: not a complete Parquet file"):
        feed(copy)


def test_a_file_of_other_rows_is_named(copy: Dataset) -> None:
    file = copy.files("train")[0]
    pq.write_table(pq.read_table(file).slice(1), file)
    with pytest.raises(DatasetError, match=r"part-000000\.parquet: 255 rows in 1 row groups, the manifest says 256"):
        feed(copy)


def test_the_feature_map_must_be_the_datasets(copy: Dataset, small: Small) -> None:
    table = pq.read_table(copy.features_path)
    metadata = {
        key: value.replace(copy.feature_map.fingerprint.encode(), b"0-0")
        for key, value in table.schema.metadata.items()
    }
    pq.write_table(table.replace_schema_metadata(metadata), copy.features_path)
    with pytest.raises(DatasetError, match="feature map 0-0, but the dataset was encoded with"):
        Dataset.open(copy.path)


def test_ids_are_long_and_labels_float(small: Small) -> None:
    batch = next(iter(feed(Dataset.open(small.settings.dataset.path)).epoch(1)))
    assert batch.encoded.ids.dtype == torch.int64
    assert batch.encoded.values.dtype == batch.label.dtype == torch.float32
    assert set(batch.label.tolist()) == {-1.0, 1.0}
