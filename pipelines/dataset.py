"""A prepared dataset on disk: its folder, and the manifest that says what is in it."""

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from afm_core.errors import AfmError, DatasetError
from afm_core.features import FeatureMap
from afm_core.features.feature_map import FEATURES_FILE
from afm_core.storage.paths import as_os_errors

FORMAT_VERSION = 3
SPLITS = ("train", "valid", "test")
MANIFEST_FILE, PROFILE_FILE, SETTINGS_FILE, REJECTS_FOLDER = (
    "manifest.json",
    "profile.parquet",
    "settings.yaml",
    "rejects",
)


def file_name(number: int) -> str:
    """Name of the file that holds rows `number` x rows_per_file and following."""
    return f"part-{number:06d}.parquet"


class SplitManifest(BaseModel):
    """What one split holds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rows: int
    files: int
    positives: int


class Manifest(BaseModel):
    """What a dataset holds and how it came to be."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format_version: int = FORMAT_VERSION
    name: str
    seed: int
    feature_map: str
    """Fingerprint."""
    fields: list[dict[str, Any]]
    features: int
    features_added: int | None = None
    """To the map that was extended; None where a new one was fitted."""
    extends: str | None = None
    """Fingerprint of that map."""
    rows_in: int
    rejected: dict[str, int]
    """Rows by reason."""
    positives: int
    """Logs with a positive label."""
    negatives_asked: int
    negatives_found: int
    """Those that were drawn; fewer than asked where users have seen almost everything."""
    weighted: bool = False
    """Whether instances have a weight."""
    instances: int
    rows_per_file: int
    split_by: str
    """The rule: random, positive, time, leave_one_out, or the field whose instances stay together."""
    units_in_several_splits: int
    """How many units of the rule (instances, positives, days or values) are in more than one split, as counted."""
    splits: dict[str, SplitManifest]
    digest: str
    """Order-independent digest of all instances, their split included."""
    made_from: str | None = None
    """Fingerprint of the logs' files, the settings and the version of this software; None for a table."""
    seconds: dict[str, float]
    """Of each stage of the preparation."""


class Dataset:
    """A dataset that was found whole."""

    def __init__(self, path: Path, manifest: Manifest, feature_map: FeatureMap) -> None:
        self.path, self.manifest, self.feature_map = path, manifest, feature_map

    @classmethod
    def open(cls, path: Path) -> "Dataset":
        """Read manifest and feature map.

        Raises:
            DatasetError: no dataset there, one of another format, or a feature map that is not the manifest's.
        """
        try:
            with as_os_errors(path):
                manifest = Manifest.model_validate_json((path / MANIFEST_FILE).read_text(encoding="utf-8"))
            feature_map = FeatureMap.read(path / FEATURES_FILE)
        except FileNotFoundError as error:
            raise DatasetError(f"{path}: no dataset there; write one with jobs/prepare.py") from error
        except OSError as error:
            raise DatasetError(f"{path}: cannot be reached: {str(error).splitlines()[0]}") from error
        except ValidationError as error:
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
        return cls(path, manifest, feature_map)

    @property
    def features_path(self) -> Path:
        """The feature table."""
        return self.path / FEATURES_FILE

    def files(self, split: str) -> list[Path]:
        """The files of a split in the order of their rows.

        Raises:
            DatasetError: one of them is gone.
        """
        expected = [self.path / split / file_name(number) for number in range(self.manifest.splits[split].files)]
        with as_os_errors(self.path):
            missing = [file for file in expected if not file.is_file()]
        if missing:
            raise DatasetError(f"{missing[0]}: missing ({len(missing)} of {len(expected)} files); prepare again")
        return expected
