"""A trained model on disk: a folder that torch and pyarrow alone can load, checked against its checksums.

`weights.safetensors`, `settings.yaml`, `features.parquet`, with `counts.parquet` and `pairs.parquet` where the map has
fields that need them, `certificate.safetensors` with frozen rows and their scores, `metrics.json`, `card.md`, and
`checksum.json` over them.
`optimizer.safetensors` is what a training needs to go on from it.
"""

import hashlib
import json
from dataclasses import dataclass
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
from afm_core.features.feature_map import COUNTS_FILE, FEATURES_FILE, PAIRS_FILE
from afm_core.inference.scorer import Scorer
from afm_core.learning.prediction import Predictor
from afm_core.models import AnyModel, Shape, build_model
from afm_core.settings import Settings, read_settings, write_settings
from afm_core.storage.checksum import file_sha256
from afm_core.storage.paths import copy_file
from afm_core.storage.publishing import staged

_WEIGHTS, _SETTINGS = "weights.safetensors", "settings.yaml"
_METRICS, _CARD, _CHECKSUM = "metrics.json", "card.md", "checksum.json"
_CERTIFICATE = "certificate.safetensors"
_OPTIMIZER = "optimizer.safetensors"  # for training to go on; no part of what scores, so not of the fingerprint either
_CONTENT = (_WEIGHTS, _SETTINGS, FEATURES_FILE, _METRICS, _CARD, _CERTIFICATE)


class FrozenRows(NamedTuple):
    """Encoded rows that go into a bundle with their scores, so that whoever loads it can see that theirs are equal."""

    ids: NDArray[np.int32]
    """(N, F)"""
    x: NDArray[np.float32]
    """(N, X), the columns of x_i, of which there may be none."""


@dataclass(frozen=True)
class Bundle:
    """A loaded bundle."""

    path: Path
    predictor: Predictor
    settings: Settings
    feature_map: FeatureMap
    metrics: dict[str, Any]
    fingerprint: str
    """Digest over every file of the bundle; names the model in scores."""

    @property
    def model(self) -> AnyModel:
        """The model by itself; its output is not yet a score."""
        return self.predictor.model

    @cached_property
    def scorer(self) -> Scorer:
        """Scores rows as its certificate and its evaluation do."""
        return Scorer(self.predictor, self.feature_map)

    @cached_property
    def drift_baseline(self) -> DriftBaseline:
        """How scores and fields were distributed in the training."""
        return DriftBaseline.from_metrics(self.metrics)

    @cached_property
    def field_bins(self) -> FieldBins:
        """The bins in which every field of a night is compared with the training."""
        return FieldBins.of(self.features_path, self.drift_baseline.fields)

    def largest_difference(self) -> float:
        """Between the scores of the frozen rows here and now, and those that were written when it was trained."""
        rows = load_file(self.path / _CERTIFICATE)
        ours = self.scorer.columns(rows["ids"], rows["x"])
        return float(np.abs(ours - rows["score"]).max(initial=0.0))

    def read_optimizer(self) -> dict[str, Tensor]:
        """The optimiser's state at the end of the training, as it was written; empty where it was not.

        Raises:
            BundleError: it has changed since.
        """
        expected = json.loads((self.path / _CHECKSUM).read_text(encoding="utf-8")).get("optimizer")
        if expected is None:
            return {}
        file = self.path / _OPTIMIZER
        if not file.is_file() or file_sha256(file) != expected:
            raise BundleError(f"{file}: missing or changed since the bundle was written; train it again")
        return load_tensors(file)

    @property
    def features_path(self) -> Path:
        """The feature table, for the encoder."""
        return self.path / FEATURES_FILE


def write_bundle(
    path: Path,
    predictor: Predictor,
    settings: Settings,
    tables: Path,
    frozen: FrozenRows,
    metrics: dict[str, Any],
    card: str,
    optimizer: dict[str, Tensor] | None = None,
) -> str:
    """Write a bundle beside `path`, then put it in place in one step. Returns its fingerprint.

    Args:
        tables: the folder of the feature map that the model was trained with, a dataset or a bundle; copied.
        frozen: a few hundred rows, whose scores are written beside them.
        optimizer: its state, by names that end in / and the optimiser's key.
    """
    feature_map = FeatureMap.read(tables / FEATURES_FILE)
    with staged(path) as stage:
        save_model(predictor, str(stage / _WEIGHTS))
        write_settings(settings, stage / _SETTINGS)
        for name in feature_map.tables:
            copy_file(tables / name, stage / name)
        score = Scorer(predictor, feature_map).columns(frozen.ids, frozen.x)
        save_file({"ids": frozen.ids, "x": frozen.x, "score": score}, stage / _CERTIFICATE)
        (stage / _METRICS).write_text(json.dumps(metrics, indent=2) + "\n", encoding="utf-8")
        (stage / _CARD).write_text(card, encoding="utf-8")
        checksums = {name: file_sha256(stage / name) for name in dict.fromkeys((*_CONTENT, *feature_map.tables))}
        fingerprint = _overall(checksums)
        recorded = {"fingerprint": fingerprint, "files": checksums}
        if optimizer is not None:
            save_tensors({name: tensor.contiguous() for name, tensor in optimizer.items()}, stage / _OPTIMIZER)
            recorded["optimizer"] = file_sha256(stage / _OPTIMIZER)
        (stage / _CHECKSUM).write_text(json.dumps(recorded, indent=2) + "\n")
    return fingerprint


def read_bundle(path: Path) -> Bundle:
    """Load and verify a bundle.

    Raises:
        BundleError: no bundle there, a file missing or changed, or weights that do not fit its own feature map.
    """
    fingerprint = verify_bundle(path)
    try:
        settings = read_settings(path / _SETTINGS)
        feature_map = FeatureMap.read(path / FEATURES_FILE)
        predictor = Predictor(build_model(settings.model, Shape.of(feature_map)), settings.train.task)
        load_model(predictor, str(path / _WEIGHTS))
        metrics = json.loads((path / _METRICS).read_text(encoding="utf-8"))
    except (AfmError, SafetensorError, RuntimeError, ValueError) as error:
        raise BundleError(f"{path}: cannot be loaded: {str(error).splitlines()[0]}; train it again") from error
    predictor.eval()
    return Bundle(path, predictor, settings, feature_map, metrics, fingerprint)


def verify_bundle(path: Path) -> str:
    """Compare every file of a bundle with its checksum; return the fingerprint.

    Raises:
        BundleError: naming the first file that is missing or differs.
    """
    try:
        recorded = json.loads((path / _CHECKSUM).read_text(encoding="utf-8"))
        optional = [name for name in (COUNTS_FILE, PAIRS_FILE) if name in recorded["files"]]
        expected = {name: recorded["files"][name] for name in [*_CONTENT, *optional]}
    except (OSError, ValueError, KeyError) as error:
        raise BundleError(f"{path}: no complete bundle there; write one with jobs/train.py") from error
    for name, checksum in expected.items():
        if not (path / name).is_file() or file_sha256(path / name) != checksum:
            raise BundleError(f"{path / name}: missing or changed since the bundle was written; train it again")
    if _overall(expected) != recorded.get("fingerprint"):
        raise BundleError(f"{path / _CHECKSUM}: changed since the bundle was written; train it again")
    return str(recorded["fingerprint"])


def _overall(checksums: dict[str, str]) -> str:
    joined = "".join(f"{name}:{checksums[name]}\n" for name in sorted(checksums))
    return hashlib.sha256(joined.encode()).hexdigest()[:16]
