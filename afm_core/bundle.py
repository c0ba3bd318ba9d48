"""A trained model on disk: a folder that torch and pyarrow alone can load, verified against its checksums.

It holds `weights.safetensors`, `settings.yaml`, `features.parquet` (with `counts.parquet`, `pairs.parquet` and
`rates.parquet` where the map has fields that need them), `certificate.safetensors` (frozen rows and their scores),
`metrics.json`, `card.md`, and `checksum.json` over all of these. `optimizer.safetensors` holds the optimiser's state,
for incremental training.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file
from safetensors.torch import load_file as load_tensors
from safetensors.torch import load_model, save_model
from safetensors.torch import save_file as save_tensors
from torch import Tensor

from afm_core.drift.baseline import DriftBaseline
from afm_core.drift.field_bins import FieldBins
from afm_core.errors import AfmError, BundleError
from afm_core.features import FeatureMap
from afm_core.features.feature_map import DERIVED_FILES, FEATURES_FILE
from afm_core.inference.scorer import Scorer
from afm_core.learning.calibrated_model import CalibratedModel
from afm_core.models import AnyModel, Shape, build_model
from afm_core.settings import Settings, read_settings, write_settings
from afm_core.storage.atomic import write_json, write_text
from afm_core.storage.checksum import file_sha256, text_sha256
from afm_core.storage.local_copies import local_copy
from afm_core.storage.object_store import read_object
from afm_core.storage.opening import OpenVersion, open_version
from afm_core.storage.paths import copy_file, is_local
from afm_core.storage.publishing import Condition, do_not_ask, place_of, staged

_WEIGHTS, _SETTINGS = "weights.safetensors", "settings.yaml"
_METRICS, _CARD, CHECKSUM_FILE = "metrics.json", "card.md", "checksum.json"
_CERTIFICATE = "certificate.safetensors"
_OPTIMIZER = "optimizer.safetensors"  # does not affect scores, so the fingerprint does not cover it
BUNDLE_CONTENT = (CHECKSUM_FILE, _WEIGHTS)
"""Files by which a folder is recognised as a bundle, whole or damaged."""
_CONTENT = (_WEIGHTS, _SETTINGS, FEATURES_FILE, _METRICS, _CARD, _CERTIFICATE)


class FrozenRows(NamedTuple):
    """Encoded rows that a bundle stores with their scores, to check that a reader computes the same scores."""

    ids: NDArray[np.int32]
    """(N, F) ids."""
    x: NDArray[np.float32]
    """(N, X) the columns of x_i; X is 0 where every x_i is 1."""


@dataclass(frozen=True)
class Bundle:
    """A loaded bundle."""

    path: Path
    """Its files on this machine, which never change, whatever is published after them."""
    location: Path
    """The version that it was opened from, which other machines can open: local or remote."""
    calibrated_model: CalibratedModel
    settings: Settings
    feature_map: FeatureMap
    metrics: dict[str, Any]
    fingerprint: str
    """Digest over the content of the bundle; identifies the model in scores."""
    version: OpenVersion = field(repr=False, compare=False)
    """Keeps the files of this bundle from being removed while it is in use."""

    @property
    def address(self) -> str:
        """The version as text, for processes on other machines."""
        return str(self.location.absolute() if is_local(self.location) else self.location)

    @property
    def model(self) -> AnyModel:
        """The bare model, whose output is not yet a score."""
        return self.calibrated_model.model

    @cached_property
    def scorer(self) -> Scorer:
        """Scores rows exactly as certificate, evaluation and nightly scoring do."""
        return Scorer(self.calibrated_model, self.feature_map)

    @cached_property
    def drift_baseline(self) -> DriftBaseline:
        """How scores and fields were distributed in the training."""
        return DriftBaseline.from_metrics(self.metrics)

    @cached_property
    def field_bins(self) -> FieldBins:
        """The bins in which every field of a night is compared with the training."""
        return FieldBins.of(self.features_path, self.drift_baseline.fields)

    def certificate_error(self) -> float:
        """Largest absolute difference between the frozen rows' scores on this machine and those written in training."""
        rows = load_file(self.path / _CERTIFICATE)
        scores = self.scorer.columns(rows["ids"], rows["x"])
        return float(np.abs(scores - rows["score"]).max(initial=0.0))

    def read_optimizer(self) -> dict[str, Tensor]:
        """The optimiser's state at the end of the training; empty if the bundle was written without it.

        Raises:
            BundleError: the file is missing or has changed since.
        """
        expected = json.loads((self.path / CHECKSUM_FILE).read_text(encoding="utf-8")).get("optimizer")
        if expected is None:
            return {}
        file = self.path / _OPTIMIZER
        if not file.is_file() or file_sha256(file) != expected:
            raise BundleError(f"{file}: missing or changed since the bundle was written; train it again")
        return load_tensors(file)

    @property
    def features_path(self) -> Path:
        """The feature table, as the encoder reads it."""
        return self.path / FEATURES_FILE


def write_bundle(
    path: Path,
    calibrated_model: CalibratedModel,
    settings: Settings,
    tables: Path,
    frozen: FrozenRows,
    metrics: dict[str, Any],
    card: str,
    optimizer: dict[str, Tensor] | None = None,
    condition: Condition = do_not_ask,
) -> str:
    """Write a bundle and publish it at `path` in one step. Returns its fingerprint.

    Args:
        tables: the folder whose feature map the model was trained with, a dataset or a bundle; the map is copied.
        frozen: a few hundred rows; they are scored, and rows and scores form the certificate.
        optimizer: the optimiser's state, by names that end in `/` and the optimiser's key.
        condition: see `staged`.
    """
    feature_map = FeatureMap.read(tables / FEATURES_FILE)
    with staged(place_of(path), BUNDLE_CONTENT, condition) as stage, _as_os_error():
        save_model(calibrated_model, str(stage / _WEIGHTS))
        write_settings(settings, stage / _SETTINGS)
        for name in feature_map.tables:
            copy_file(tables / name, stage / name)
        score = Scorer(calibrated_model, feature_map).columns(frozen.ids, frozen.x)
        save_file({"ids": frozen.ids, "x": frozen.x, "score": score}, stage / _CERTIFICATE)
        write_json(stage / _METRICS, metrics)
        write_text(stage / _CARD, card)
        checksums = {name: file_sha256(stage / name) for name in dict.fromkeys((*_CONTENT, *feature_map.tables))}
        fingerprint = _fingerprint(checksums)
        recorded = {"fingerprint": fingerprint, "files": checksums}
        if optimizer is not None:
            save_tensors({name: tensor.contiguous() for name, tensor in optimizer.items()}, stage / _OPTIMIZER)
            recorded["optimizer"] = file_sha256(stage / _OPTIMIZER)
        write_json(stage / CHECKSUM_FILE, recorded)
    return fingerprint


def read_bundle(path: Path) -> Bundle:
    """Load and verify a bundle.

    Raises:
        BundleError: there is no bundle, a file is missing or changed, or the weights do not fit its own feature map.
    """
    version = open_version(path)
    path = _on_this_machine(version.path)
    fingerprint = verify_bundle(path)
    try:
        settings = read_settings(path / _SETTINGS)
        feature_map = FeatureMap.read(path / FEATURES_FILE)
        calibrated_model = CalibratedModel(build_model(settings.model, Shape.of(feature_map)), settings.train.task)
        load_model(calibrated_model, str(path / _WEIGHTS))
        metrics = json.loads((path / _METRICS).read_text(encoding="utf-8"))
    except (AfmError, SafetensorError, RuntimeError, ValueError) as error:
        raise BundleError(f"{path}: cannot be loaded: {str(error).splitlines()[0]}; train it again") from error
    calibrated_model.eval()
    return Bundle(path, version.path, calibrated_model, settings, feature_map, metrics, fingerprint, version)


@contextmanager
def _as_os_error() -> Iterator[None]:
    """Convert the error of a file that safetensors cannot write."""
    try:
        yield
    except SafetensorError as error:
        raise OSError(str(error)) from error


def _on_this_machine(version: Path) -> Path:
    if is_local(version):
        return version
    checksum = read_object(f"{version}/{CHECKSUM_FILE}")
    if checksum is None:
        raise BundleError(f"{version}: no complete bundle; write one with jobs/train.py")
    return local_copy(version, checksum.content.decode(errors="replace"))


def verify_bundle(path: Path) -> str:
    """Compare every file of a bundle with its recorded checksum. Returns the fingerprint.

    Raises:
        BundleError: names the first file that is missing or differs.
    """
    try:
        recorded = json.loads((path / CHECKSUM_FILE).read_text(encoding="utf-8"))
        optional = [name for name in DERIVED_FILES if name in recorded["files"]]
        expected = {name: recorded["files"][name] for name in [*_CONTENT, *optional]}
    except (OSError, ValueError, KeyError) as error:
        raise BundleError(f"{path}: no complete bundle; write one with jobs/train.py") from error
    for name, checksum in expected.items():
        if not (path / name).is_file() or file_sha256(path / name) != checksum:
            raise BundleError(f"{path / name}: missing or changed since the bundle was written; train it again")
    if _fingerprint(expected) != recorded.get("fingerprint"):
        raise BundleError(f"{path / CHECKSUM_FILE}: changed since the bundle was written; train it again")
    return str(recorded["fingerprint"])


def _fingerprint(checksums: dict[str, str]) -> str:
    return text_sha256("".join(f"{name}:{checksums[name]}\n" for name in sorted(checksums)))[:16]
