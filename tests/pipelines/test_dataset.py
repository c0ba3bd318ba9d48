"""A dataset that is not what was prepared is one line, whatever is wrong with it."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from afm_core.errors import DatasetError
from pipelines.dataset import CHECKSUMS_FILE, MANIFEST_FILE, Dataset
from pipelines.feeding.feed import Feed
from pipelines.feeding.shard_plan import ShardPlan
from pipelines.feeding.split_reader import read_split
from tests.support.datasets import change_manifest
from tests.support.small import Small

FLIPS = 300


@pytest.fixture
def dataset(small: Small, tmp_path: Path) -> Dataset:
    return Dataset.open(Path(shutil.copytree(small.settings.dataset.path, tmp_path / "dataset")))


@pytest.mark.parametrize(
    "facts",
    [
        {"splits": {}},
        {"splits": {"train": {"rows": 1, "files": 100_000_000, "positives": 1}}},
        {"instances": -1},
        {"rows_per_file": 0},
        {"rows_per_file": 1},
        {"splits": None},
    ],
)
def test_a_manifest_that_contradicts_itself_is_refused(dataset: Dataset, facts: dict) -> None:
    change_manifest(dataset.path, **facts)
    with pytest.raises(DatasetError, match=f"{MANIFEST_FILE}: not a manifest of format 3; prepare again"):
        Dataset.open(dataset.path)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[]", b"null"])
def test_a_damaged_manifest_is_refused(dataset: Dataset, content: bytes) -> None:
    (dataset.path / MANIFEST_FILE).write_bytes(content)
    with pytest.raises(DatasetError, match=f"{MANIFEST_FILE}: not a manifest"):
        Dataset.open(dataset.path)


def test_a_hundred_million_files_that_are_missing_are_one_line_at_once(dataset: Dataset) -> None:
    n_files, rows = 100_000_000, 100_000_000 * dataset.manifest.rows_per_file
    train = {"rows": rows, "files": n_files, "positives": 1}
    splits = dataset.manifest.model_dump()["splits"]
    others = splits["valid"]["rows"] + splits["test"]["rows"]
    change_manifest(dataset.path, splits={**splits, "train": train}, instances=rows + others)
    present = dataset.manifest.splits["train"].files
    expected = rf"part-{present:06d}\.parquet: missing \({n_files - present} of {n_files} files\)"
    with pytest.raises(DatasetError, match=expected):
        Dataset.open(dataset.path).files("train")


def test_a_split_that_cannot_be_listed_is_not_called_missing(dataset: Dataset) -> None:
    folder = dataset.path / "train"
    shutil.rmtree(folder)
    folder.symlink_to(folder)
    with pytest.raises(DatasetError, match=r"train: cannot be read: .*symbolic links"):
        dataset.files("train")


def flip(file: Path, random: np.random.Generator) -> None:
    content = bytearray(file.read_bytes())
    content[random.integers(len(content))] ^= 1 << int(random.integers(8))
    file.write_bytes(content)


def test_every_flipped_bit_is_found_by_an_evaluation(dataset: Dataset) -> None:
    random, file = np.random.default_rng(1), dataset.files("valid")[0]
    content, found = file.read_bytes(), 0
    for _ in range(FLIPS):
        flip(file, random)
        with pytest.raises(DatasetError, match=file.name):
            list(read_split(dataset, "valid", 64))
        found += 1
        file.write_bytes(content)
    assert found == FLIPS
    list(read_split(dataset, "valid", 64))


def test_every_flipped_bit_is_found_by_a_training(dataset: Dataset) -> None:
    random, file = np.random.default_rng(2), dataset.files("train")[1]
    plan = ShardPlan(dataset.manifest.splits["train"].rows, dataset.manifest.rows_per_file, 64, 0, 1)
    content = file.read_bytes()
    for _ in range(FLIPS // 10):
        flip(file, random)
        with pytest.raises(DatasetError, match=file.name):
            list(Feed(dataset, "train", plan, 1).epoch(1))
        file.write_bytes(content)
    reading = Feed(dataset, "train", plan, 1)
    assert sum(len(batch.label) for batch in reading.epoch(1)) == plan.rows


def test_damaged_checksums_are_one_line(dataset: Dataset) -> None:
    path = dataset.path / CHECKSUMS_FILE
    path.write_text(path.read_text().replace("a", "b"))
    with pytest.raises(DatasetError, match=f"{CHECKSUMS_FILE}: changed since the dataset was prepared; prepare again"):
        read_split(dataset, "train", 64)
    path.unlink()
    with pytest.raises(DatasetError, match=f"{CHECKSUMS_FILE}: cannot be read"):
        read_split(dataset, "train", 64)


def test_a_dataset_of_an_earlier_version_has_no_checksums_and_is_read(dataset: Dataset) -> None:
    (dataset.path / CHECKSUMS_FILE).unlink()
    manifest = json.loads((dataset.path / MANIFEST_FILE).read_text())
    del manifest["checksums"]
    (dataset.path / MANIFEST_FILE).write_text(json.dumps(manifest))
    earlier = Dataset.open(dataset.path)
    rows = sum(len(batch.label) for batch in read_split(earlier, "train", 64))
    assert rows == earlier.manifest.splits["train"].rows
