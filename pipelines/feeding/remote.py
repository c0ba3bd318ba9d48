"""Object stores and HDFS as Petastorm wants them."""

import warnings
from pathlib import Path
from typing import Any

from afm_core.storage.paths import remote_file_system


def petastorm_file_system(file: Path) -> Any:
    """The file system of a file; None for a local one.

    Petastorm reads by interfaces of pyarrow that take its old kind of file system only, not fsspec's own. pyarrow has a
    wrapper for them, which leaves open what is a file.
    """
    remote = remote_file_system(file)
    if remote is None:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        from pyarrow.filesystem import DaskFileSystem

        class OfFsspec(DaskFileSystem):  # type: ignore[misc]
            def isfile(self, path: str) -> bool:
                return bool(self.fs.isfile(path))

            def isdir(self, path: str) -> bool:
                return bool(self.fs.isdir(path))

        return OfFsspec(remote)
