"""Files of the dataset that break while a training reads them."""

import shutil
from pathlib import Path

import pytest

from pipelines.dataset import Dataset
from tests.support.config import write_config
from tests.support.processes import finish, start_job
from tests.support.ranks import TRAIN, wait_for_checkpoint
from tests.support.small import Small

FROM_DISK = ("read-from-disk",)


@pytest.mark.parametrize("fault", ["deleted", pytest.param("truncated", marks=pytest.mark.long)])
def test_a_training_names_the_file_and_goes_on_when_it_is_back(small: Small, tmp_path: Path, fault: str) -> None:
    shutil.copytree(small.settings.dataset.path, tmp_path / "dataset")
    dataset = {"path": str(tmp_path / "dataset"), "rows_per_file": 256}
    config = write_config(tmp_path, small.settings.logs.path, dataset=dataset, train={**TRAIN, "epochs": 40})
    process = start_job("train", config, fault=FROM_DISK)
    wait_for_checkpoint(config, 30, process)
    file = Dataset.open(tmp_path / "dataset").files("train")[0]
    content = file.read_bytes()
    file.unlink() if fault == "deleted" else file.write_bytes(content[:200])
    out = finish(process, 2)
    (line,) = [line for line in out.splitlines() if line.startswith("error: ")]
    assert f"{file.name}: not a complete Parquet file" in line
    assert "--resume auto" in line
    file.write_bytes(content)
    again = start_job("train", config, "--resume", "auto", "--set", "train.epochs=40", fault=FROM_DISK)
    assert "continues in epoch" in finish(again)
