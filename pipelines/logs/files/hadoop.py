"""Files that Spark's Hadoop connectors reach, listed on the driver with the credentials that Spark reads them with."""

import glob
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Self

from afm_core.errors import LogsError
from afm_core.storage.locations import Location
from afm_core.storage.urls import Url
from pipelines.logs.files.hadoop_client import AbsentError, HadoopClient
from pipelines.logs.files.tree import Match
from pipelines.spark_on_demand import SparkOnDemand

_AT_ONCE = 16  # first lines, each of which waits for the server


@dataclass(frozen=True)
class HadoopTree:
    """A remote file, folder or pattern; a `pipelines.logs.files.tree.FileTree`."""

    path: Url
    spark: SparkOnDemand

    def child(self, name: str) -> Self:
        """The file or folder of that name in this folder."""
        return type(self)(self.path / name, self.spark)

    def matches(self) -> list[Match]:
        """What the path names, sorted."""
        with self._client() as client:
            itself = _match(client, self.path)
            if itself is not None:
                return [itself]
            return [match for url in _expanded(client, self.path) if (match := _match(client, url)) is not None]

    def is_folder(self) -> bool:
        """Whether it is a folder; in a bucket, one with files in it."""
        with self._client() as client:
            return client.is_folder(self.path)

    def folder_names(self) -> list[str]:
        """Names of the folders in this folder, sorted; none where it does not exist."""
        with self._client() as client:
            return client.entries(self.path, folders_only=True)

    def first_lines(self, files: Sequence[Location]) -> list[bytes | None]:
        """The first line that is not blank of each file.

        Raises:
            LogsError: a file cannot be read.
        """
        urls = [file for file in files if isinstance(file, Url)]
        with self._client() as client, ThreadPoolExecutor(_AT_ONCE) as threads:
            return list(threads.map(client.first_line, urls))

    def read(self) -> bytes:
        """Content of the file.

        Raises:
            LogsError: there is no such file, or it cannot be read.
        """
        try:
            with self._client() as client:
                return client.read(self.path)
        except AbsentError as error:
            raise LogsError(f"{self.path}: cannot be read: no such file") from error

    def _client(self) -> HadoopClient:
        return HadoopClient(self.spark(), self.path)


def _match(client: HadoopClient, url: Url) -> Match | None:
    try:
        files = client.files(url)
    except AbsentError:
        return None
    return Match(url, [file.path for file in files] == [url], files)


def _expanded(client: HadoopClient, pattern: Url) -> list[Url]:
    """What may match a pattern, by the rules of Python's `glob`, which differ from Hadoop's: `{` is no wildcard."""
    wild = next((index for index, part in enumerate(pattern.parts) if glob.has_magic(part)), None)
    if wild is None:
        return []
    urls = [Url(pattern.scheme, pattern.authority, pattern.parts[:wild])]
    for part in pattern.parts[wild:]:
        if glob.has_magic(part):
            urls = [url / name for url in urls for name in client.entries(url) if _fits(name, part)]
        else:
            urls = [url / part for url in urls]
    return sorted(urls, key=str)


def _fits(name: str, pattern: str) -> bool:
    return fnmatchcase(name, pattern) and (pattern.startswith(".") or not name.startswith("."))
