import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from afm_core.bundle import read_bundle, verify_bundle, write_bundle
from afm_core.errors import BundleError
from afm_core.models import EncodedBatch
from tests.conftest import Small


@pytest.fixture
def bundle(small: Small, tmp_path: Path) -> Path:
    return Path(shutil.copytree(small.settings.run.bundle, tmp_path / "bundle"))


def test_a_bundle_gives_equal_outputs_bit_for_bit_after_a_round_trip(bundle: Path, tmp_path: Path) -> None:
    first = read_bundle(bundle)
    write_bundle(tmp_path / "again", first.predictor, first.settings, first.features_path, None, first.metrics, "card")
    second = read_bundle(tmp_path / "again")
    batch = EncodedBatch.of_ids(torch.randint(0, first.feature_map.n_ids, (100, len(first.feature_map.names))))
    assert torch.equal(first.model(batch), second.model(batch))


@pytest.mark.parametrize(
    "name", ["weights.safetensors", "settings.yaml", "features.parquet", "metrics.json", "card.md"]
)
def test_a_changed_or_missing_file_is_refused_by_name(bundle: Path, name: str) -> None:
    content = (bundle / name).read_bytes()
    (bundle / name).write_bytes(content + b" ")
    with pytest.raises(BundleError, match=name):
        read_bundle(bundle)
    (bundle / name).unlink()
    with pytest.raises(BundleError, match=name):
        read_bundle(bundle)


def test_an_edited_checksum_is_refused(bundle: Path) -> None:
    recorded = json.loads((bundle / "checksum.json").read_text())
    recorded["fingerprint"] = "0" * 16
    (bundle / "checksum.json").write_text(json.dumps(recorded))
    with pytest.raises(BundleError, match=r"checksum\.json"):
        verify_bundle(bundle)


def test_no_bundle_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="no complete bundle there"):
        read_bundle(tmp_path / "none")


def test_a_bundle_loads_without_spark_petastorm_or_horovod(bundle: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from afm_core.bundle import read_bundle; "
        f"read_bundle(Path({str(bundle)!r})); "
        "print([name for name in ('pyspark', 'petastorm', 'horovod') if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
