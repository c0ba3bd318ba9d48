"""The same logs in every kind of storage, so that one test asks all of them the same."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest
from pyspark.sql import SparkSession

from afm_core.storage.locations import Location
from afm_core.storage.urls import Url
from pipelines.logs.files.opening import file_tree
from pipelines.logs.files.tree import FileTree
from tests.support.jobs import without_spark
from tests.support.remote_stores import Store, delete, upload

STORAGES = [
    "local",
    "hadoop's own local files",
    pytest.param("s3", marks=pytest.mark.cluster),
    pytest.param("hdfs", marks=pytest.mark.cluster),
]


@dataclass(frozen=True)
class Storage:
    """A folder of its own in one kind of storage."""

    root: Location
    local: Path
    """Where files are written first."""
    spark: SparkSession

    def write(self, files: Mapping[str, str]) -> None:
        """Files by their path below the root; a path that ends in a slash is an empty folder."""
        for name, text in files.items():
            path = self.local / name
            if name.endswith("/"):
                path.mkdir(parents=True)
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
        if self.is_remote:
            upload(self.spark, self.local, self.root)

    def delete(self, name: str) -> None:
        """Delete a file, and leave its folder."""
        (self.local / name).unlink()
        if self.is_remote:
            delete(self.spark, self.root / name)

    def tree(self, name: str = "") -> FileTree:
        """What a job sees of a path or pattern below the root."""
        path = self.root / name if name else self.root
        return file_tree(path, without_spark if isinstance(path, Path) else lambda: self.spark)

    def below(self, path: Location) -> str:
        """A path relative to the root."""
        return "/".join(path.parts[len(self.root.parts) :])

    @property
    def is_remote(self) -> bool:
        return isinstance(self.root, Url) and self.root.scheme != "file"


def make_storage(
    kind: str, folder: Path, spark: SparkSession, remote: Callable[[str], Store], name: str = "logs"
) -> Storage:
    """A new folder in a kind of storage.

    Args:
        remote: starts a server, or finds the one that runs.
    """
    local = folder / name
    local.mkdir()
    if kind == "local":
        return Storage(local, local, spark)
    if kind == "hadoop's own local files":
        return Storage(Url("file", "", local.parts[1:]), local, spark)
    return Storage(remote(kind).root / f"{uuid4().hex[:8]}" / name, local, spark)
