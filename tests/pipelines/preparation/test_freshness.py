"""A dataset is up to date only if preparing it again would give the same."""

import json
import shutil
from pathlib import Path

import pytest

from afm_core.settings import Settings
from pipelines.dataset import MANIFEST_FILE, Dataset
from pipelines.preparation.dataset_freshness import up_to_date
from tests.support.jobs import without_spark
from tests.support.small import Small


@pytest.fixture
def settings(small: Small, tmp_path: Path) -> Settings:
    """Settings whose dataset is a copy of the small one."""
    path = shutil.copytree(small.settings.dataset.path, tmp_path / "dataset")
    dataset = small.settings.dataset.model_copy(update={"path": path})
    return small.settings.model_copy(update={"dataset": dataset})


def test_a_dataset_made_from_the_same_inputs_is_up_to_date(settings: Settings) -> None:
    assert up_to_date(settings, without_spark) is not None
    assert up_to_date(settings.model_copy(update={"seed": settings.seed + 1}), without_spark) is None


def test_a_dataset_with_a_damaged_file_is_prepared_again(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    file = Dataset.open(settings.dataset.path).files("test")[0]
    content = file.read_bytes()
    file.write_bytes(content[:-9] + bytes([content[-9] ^ 1]) + content[-8:])
    assert up_to_date(settings, without_spark) is None
    assert f"{file.name}: changed since the dataset was prepared" in capsys.readouterr().err


def test_a_dataset_of_an_earlier_version_opens_and_is_not_up_to_date(settings: Settings) -> None:
    manifest = settings.dataset.path / MANIFEST_FILE
    facts = json.loads(manifest.read_text())
    manifest.write_text(json.dumps({**facts, "made_from": "ada8c1eb67de64803d6ac0bc"}))
    assert Dataset.open(settings.dataset.path).manifest.made_from is None
    assert up_to_date(settings, without_spark) is None
