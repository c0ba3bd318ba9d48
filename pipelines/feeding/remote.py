"""File systems of object stores and HDFS in the form that Petastorm accepts."""

import warnings
from pathlib import Path
from typing import Any

from afm_core.storage.paths import remote_file_system


def petastorm_file_system(file: Path) -> Any:
    """The file system of a file; None if it is local.

    Petastorm uses interfaces of pyarrow that accept only its legacy file systems, not those of fsspec. pyarrow has an
    adapter for fsspec, which leaves `isfile` and `isdir` unimplemented.
    """
    remote = remote_file_system(file)
    if remote is None:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        from pyarrow.filesystem import DaskFileSystem

        class FsspecAdapter(DaskFileSystem):  # type: ignore[misc]
            def isfile(self, path: str) -> bool:
                return bool(self.fs.isfile(path))

            def isdir(self, path: str) -> bool:
                return bool(self.fs.isdir(path))

        return FsspecAdapter(remote)
