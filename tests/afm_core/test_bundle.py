import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from afm_core.bundle import FrozenRows, read_bundle, verify_bundle, write_bundle
from afm_core.errors import BundleError
from afm_core.models import EncodedBatch
from tests.support.small import Small


@pytest.fixture
def bundle(small: Small, tmp_path: Path) -> Path:
    return Path(shutil.copytree(small.settings.run.bundle, tmp_path / "bundle"))


def test_a_bundle_gives_equal_outputs_bit_for_bit_after_a_round_trip(bundle: Path, tmp_path: Path) -> None:
    first = read_bundle(bundle)
    frozen = FrozenRows(np.ones((4, len(first.feature_map.names)), np.int32), np.empty((4, 0), np.float32))
    again = tmp_path / "again"
    write_bundle(again, first.calibrated_model, first.settings, first.path, frozen, first.metrics, "card")
    second = read_bundle(tmp_path / "again")
    batch = EncodedBatch.of_ids(torch.randint(0, first.feature_map.n_ids, (100, len(first.feature_map.names))))
    assert torch.equal(first.model(batch), second.model(batch))


@pytest.mark.parametrize(
    "name",
    ["weights.safetensors", "settings.yaml", "features.parquet", "metrics.json", "card.md", "certificate.safetensors"],
)
def test_a_changed_or_missing_file_is_refused_by_name(bundle: Path, name: str) -> None:
    content = (bundle / name).read_bytes()
    (bundle / name).write_bytes(content + b" ")
    with pytest.raises(BundleError, match=name):
        read_bundle(bundle)
    (bundle / name).unlink()
    with pytest.raises(BundleError, match=name):
        read_bundle(bundle)


def test_frozen_rows_show_a_model_that_scores_otherwise_than_it_did(bundle: Path) -> None:
    opened = read_bundle(bundle)
    assert len(load_file(bundle / "certificate.safetensors")["ids"]) == 64, "the first batch of the validation split"
    assert opened.certificate_error() == 0.0
    with torch.no_grad():
        opened.model.factors.bias += 0.01
    assert opened.certificate_error() == pytest.approx(0.01, rel=1e-3)


def test_an_edited_checksum_is_refused(bundle: Path) -> None:
    recorded = json.loads((bundle / "checksum.json").read_text())
    recorded["fingerprint"] = "0" * 16
    (bundle / "checksum.json").write_text(json.dumps(recorded))
    with pytest.raises(BundleError, match=r"checksum\.json"):
        verify_bundle(bundle)


def test_no_bundle_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="no complete bundle; write one"):
        read_bundle(tmp_path / "none")


def test_a_bundle_loads_without_spark_petastorm_or_horovod(bundle: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from afm_core.bundle import read_bundle; "
        f"read_bundle(Path({str(bundle)!r})); "
        "print([name for name in ('pyspark', 'petastorm', 'horovod') if name in sys.modules])"
    )
    completed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert completed.stdout.strip() == "[]"
