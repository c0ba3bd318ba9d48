"""Paths in HDFS that fsspec and Petastorm can open."""

import fsspec
from upath.implementations.hdfs import HDFSPath
from upath.registry import register_implementation


class HdfsPath(HDFSPath):
    """A path whose text is its whole URL; that of the class above leaves out the namenode."""

    __slots__ = ()

    def __str__(self) -> str:
        host, port = (self.storage_options.get(key) for key in ("host", "port"))
        authority = f"{host or ''}{f':{port}' if port else ''}"
        return str(super().__str__().replace("hdfs:///", f"hdfs://{authority}/", 1))


register_implementation("hdfs", HdfsPath, clobber=True)
fsspec.register_implementation("hdfs", "afm_core.storage.hdfs_file_system.HdfsFileSystem", clobber=True)
