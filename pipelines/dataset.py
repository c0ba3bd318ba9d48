"""A prepared dataset on disk: its folder, and the manifest that describes it."""

import hashlib
import json
from pathlib import Path
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    NonNegativeInt,
    PositiveInt,
    ValidationError,
    model_validator,
)

from afm_core.errors import AfmError, DatasetError, RepublishedError
from afm_core.features import FeatureMap
from afm_core.features.feature_map import FEATURES_FILE
from afm_core.storage.opening import OpenVersion, open_version
from afm_core.storage.paths import as_os_errors, open_for_reading
from afm_core.storage.provenance import Provenance

FORMAT_VERSION = 3
SPLITS = ("train", "valid", "test")
MANIFEST_FILE, CHECKSUMS_FILE, PROFILE_FILE, SETTINGS_FILE, REJECTS_FOLDER = (
    "manifest.json",
    "checksums.json",
    "profile.parquet",
    "settings.yaml",
    "rejects",
)


def file_name(number: int) -> str:
    """Name of the file that begins with row `number` x rows_per_file of its split."""
    return f"part-{number:06d}.parquet"


def _provenance(value: Any) -> Any:
    return None if isinstance(value, str) else value  # earlier versions recorded a single digest


class SplitManifest(BaseModel):
    """Content of one split."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rows: NonNegativeInt
    files: NonNegativeInt
    positives: NonNegativeInt


class Manifest(BaseModel):
    """Content of a dataset and how it was made."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format_version: int = FORMAT_VERSION
    name: str
    seed: int
    feature_map: str
    """Fingerprint of the feature map."""
    fields: list[dict[str, Any]]
    features: int
    features_added: int | None = None
    """Features added to the map that was extended; None if a new map was fitted."""
    extends: str | None = None
    """Fingerprint of the map that was extended."""
    rows_in: int
    rejected: dict[str, int]
    """Number of rejected rows by reason."""
    positives: int
    """Events with a positive label."""
    negatives_asked: int
    negatives_found: int
    """Negatives that were drawn: fewer than `negatives_asked` where users have seen almost every item."""
    weighted: bool = False
    """Whether the instances have a weight."""
    instances: int
    rows_per_file: PositiveInt
    split_by: str
    """The rule of the split: random, positive, time, leave_one_out, or the field whose instances stay together."""
    units_in_several_splits: int
    """Number of units of the rule (instances, positives, days or values) that occur in more than one split."""
    splits: dict[str, SplitManifest]
    digest: str
    """Digest of all instances and their splits, independent of the order of rows."""
    checksums: str | None = None
    """SHA-256 of `CHECKSUMS_FILE`; None for datasets of earlier versions, which have none."""
    made_from: Annotated[Provenance | None, BeforeValidator(_provenance)] = None
    """What the dataset was made from; None if the logs are a table, and for datasets of earlier versions."""
    seconds: dict[str, float]
    """Duration of each stage of the preparation, in seconds."""

    @model_validator(mode="after")
    def _is_consistent(self) -> "Manifest":
        if set(self.splits) != set(SPLITS):
            raise ValueError(f"splits: found {', '.join(self.splits) or 'none'}, needed are {', '.join(SPLITS)}")
        for name, split in self.splits.items():
            if split.files != -(-split.rows // self.rows_per_file):
                raise ValueError(f"splits.{name}: {split.files} files cannot hold {split.rows} rows")
        if sum(split.rows for split in self.splits.values()) != self.instances:
            raise ValueError(f"the splits do not hold {self.instances} instances")
        return self


class Dataset:
    """A complete dataset."""

    def __init__(self, version: OpenVersion, manifest: Manifest, feature_map: FeatureMap) -> None:
        self.path, self.manifest, self.feature_map = version.path, manifest, feature_map
        self._version = version  # keeps its files from being removed

    @classmethod
    def open(cls, path: Path) -> "Dataset":
        """Read manifest and feature map. Everything is read from the version that is published now.

        Raises:
            DatasetError: there is no dataset, its format is another one, or the feature map is not the manifest's.
        """
        version = open_version(path)
        path = version.path
        try:
            with as_os_errors(path):
                manifest = Manifest.model_validate_json((path / MANIFEST_FILE).read_text(encoding="utf-8"))
            feature_map = FeatureMap.read(path / FEATURES_FILE)
        except FileNotFoundError as error:
            raise DatasetError(f"{path}: no dataset there; write one with jobs/prepare.py") from error
        except OSError as error:
            raise DatasetError(f"{path}: cannot be reached: {str(error).splitlines()[0]}") from error
        except (ValidationError, UnicodeDecodeError) as error:
            raise DatasetError(
                f"{path / MANIFEST_FILE}: not a manifest of format {FORMAT_VERSION}; prepare again"
            ) from error
        except AfmError as error:
            raise DatasetError(str(error)) from error
        if feature_map.fingerprint != manifest.feature_map:
            raise DatasetError(
                f"{path / FEATURES_FILE}: feature map {feature_map.fingerprint}, but the dataset was encoded with "
                f"{manifest.feature_map}; prepare again"
            )
        return cls(version, manifest, feature_map)

    def require_unchanged(self) -> None:
        """Check that what was read belongs together, in a plain folder too, which somebody may have replaced.

        Raises:
            DatasetError: it has been removed.
            RepublishedError: it has been replaced.
        """
        now = Dataset.open(self.path)
        if (now.manifest, now.feature_map.fingerprint) != (self.manifest, self.feature_map.fingerprint):
            raise RepublishedError(f"{self.path}: replaced while it was being read; run again")

    @property
    def features_path(self) -> Path:
        """The feature table."""
        return self.path / FEATURES_FILE

    def files(self, split: str) -> list[Path]:
        """The files of a split in the order of their rows.

        Raises:
            DatasetError: files are missing, or the folder cannot be read.
        """
        n_files, folder = self.manifest.splits[split].files, self.path / split
        try:
            with as_os_errors(folder):
                present = {file.name for file in folder.iterdir()} if n_files else set()
        except (FileNotFoundError, NotADirectoryError):
            present = set()
        except OSError as error:
            raise DatasetError(f"{folder}: cannot be read: {str(error).splitlines()[0]}") from error
        missing = next((name for name in map(file_name, range(n_files)) if name not in present), None)
        if missing:
            n_present = sum(name.startswith("part-") for name in present)
            raise DatasetError(f"{folder / missing}: missing ({n_files - n_present} of {n_files} files); prepare again")
        return [folder / file_name(number) for number in range(n_files)]

    def checksums(self, split: str) -> list[str] | list[None]:
        """The SHA-256 checksum of each file of a split; None for each where an earlier version prepared the dataset.

        Raises:
            DatasetError: they are missing or damaged.
        """
        if self.manifest.checksums is None:
            return [None] * self.manifest.splits[split].files
        path = self.path / CHECKSUMS_FILE
        try:
            with open_for_reading(path) as file:
                text = file.read()
        except OSError as error:
            raise DatasetError(f"{path}: cannot be read: {str(error).splitlines()[0]}; prepare again") from error
        if hashlib.sha256(text).hexdigest() != self.manifest.checksums:
            raise DatasetError(f"{path}: changed since the dataset was prepared; prepare again")
        checksums: list[str] = json.loads(text)[split]
        return checksums
