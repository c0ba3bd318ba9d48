"""HDFS as fsspec, and through it Petastorm, reads it."""

from typing import Any

from fsspec import AbstractFileSystem
from hdfs_native.fsspec import HdfsFileSystem as NativeFileSystem

from afm_core.storage.hdfs_clients import client_of


class HdfsFileSystem(NativeFileSystem):
    """That of hdfs-native, which makes a client of its own, and lets go of it in every process that is forked.

    A client cannot be let go there: PySpark, which forks to start Java, would wait for ever.
    """

    def __init__(self, host: str | None = None, port: int | None = None, **options: Any) -> None:
        AbstractFileSystem.__init__(self, host, port, **options)
        self.host, self.port = host, port

    @property
    def client(self) -> Any:  # type: ignore[override]
        """The client of this process."""
        return client_of(f"{self.host or ''}{f':{self.port}' if self.port else ''}", patient=True)
