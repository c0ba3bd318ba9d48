"""One connection of the driver to a remote file system, through the JVM of Spark."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Self

from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from afm_core.errors import LogsError
from afm_core.storage.urls import Url
from pipelines.logs.files.deadline import within
from pipelines.logs.files.first_lines import LONGEST_LINE, ZSTD
from pipelines.logs.files.hadoop_configuration import impatient_configuration
from pipelines.logs.files.hadoop_errors import explain, is_absence
from pipelines.logs.files.tree import LogFile

PATIENCE = 10.0
"""Seconds until the first answer. A tree may take longer to list, a server that answers shows that it lives."""
_PATIENCE_TO_CLOSE = 2.0
_NANOSECONDS = 1_000_000  # in a millisecond


class AbsentError(Exception):
    """There is no such file or folder."""


class HadoopClient:
    """Lists and reads files below a URL. Uses `_jvm` and `_jsparkSession`, the only way from Python to Hadoop's client.

    Each method raises a LogsError where the storage does not answer, or refuses to.
    """

    def __init__(self, spark: SparkSession, url: Url) -> None:
        self._url = url
        self._jvm: Any = spark._jvm
        with self._one_line_errors():
            self._configuration = configuration = impatient_configuration(spark)
            root = self._path(Url(url.scheme, url.authority))
            self._files = within(
                PATIENCE, lambda: self._jvm.org.apache.hadoop.fs.FileSystem.newInstance(root.toUri(), configuration)
            )
            self._root = self._files.makeQualified(root).toString()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(TimeoutError, Py4JJavaError, PySparkException):  # what was asked for has been answered, or never
            within(_PATIENCE_TO_CLOSE, self._files.close)

    def files(self, url: Url) -> list[LogFile]:
        """All files below a folder, sorted, or the file itself; in one listing, which the connector pages.

        Raises:
            AbsentError: there is nothing.
        """
        with self._one_line_errors():
            statuses = _listed(lambda: self._below(url))
            files = [LogFile(self._of(status), status.getLen(), _changed(status)) for status in statuses]
        return sorted(files, key=lambda file: file.path.parts)

    def entries(self, folder: Url, *, folders_only: bool = False) -> list[str]:
        """Names in a folder, sorted; none where it does not exist or is a file."""
        try:
            with self._one_line_errors():
                statuses = _listed(lambda: self._files.listStatusIterator(self._path(folder)))
                urls = [self._of(status) for status in statuses if status.isDirectory() or not folders_only]
        except AbsentError:
            return []
        return sorted(url.name for url in urls if url != folder)

    def is_folder(self, url: Url) -> bool:
        """Whether there is a folder; in a bucket, one with files in it. One request."""
        try:
            with self._one_line_errors():
                if url.has_folders:
                    return bool(within(PATIENCE, lambda: self._files.getFileStatus(self._path(url)).isDirectory()))
                return any(self._of(status) != url for status in _listed(lambda: self._below(url)))
        except AbsentError:
            return False

    def read(self, url: Url) -> bytes:
        """Content of a file.

        Raises:
            AbsentError: there is no such file.
        """
        with self._one_line_errors():
            stream = within(PATIENCE, lambda: self._files.open(self._path(url)))
            try:
                return bytes(self._jvm.org.apache.commons.io.IOUtils.toByteArray(stream))
            finally:
                stream.close()

    def first_line(self, url: Url) -> bytes:
        """The first line of a file that is not blank, decompressed; empty if there is none.

        Raises:
            LogsError: the file cannot be read.
        """
        path = self._path(url)
        try:
            with self._one_line_errors():
                stream = within(PATIENCE, lambda: self._files.open(path))
                try:
                    return self._first_line(self._decompressed(path, stream))
                finally:
                    stream.close()
        except AbsentError as error:
            raise LogsError(f"{url}: cannot be read: no such file") from error

    def _decompressed(self, path: Any, stream: Any) -> Any:
        if path.getName().endswith(ZSTD):  # Hadoop's own codec needs a library of the machine
            return self._jvm.com.github.luben.zstd.ZstdInputStream(stream)
        codec = self._jvm.org.apache.hadoop.io.compress.CompressionCodecFactory(self._configuration).getCodec(path)
        return codec.createInputStream(stream) if codec else stream

    def _first_line(self, stream: Any) -> bytes:
        lines, line = self._jvm.org.apache.hadoop.util.LineReader(stream), self._jvm.org.apache.hadoop.io.Text()
        while lines.readLine(line, LONGEST_LINE, LONGEST_LINE):
            found = bytes(line.copyBytes())
            if found.strip():
                return found
        return b""

    def _below(self, url: Url) -> Any:
        return self._files.listFiles(self._path(url), True)

    def _path(self, url: Url) -> Any:
        return self._jvm.org.apache.hadoop.fs.Path(url.for_spark)

    def _of(self, status: Any) -> Url:
        """The URL of what was listed; Hadoop has completed `hdfs:///` by a host."""
        below = status.getPath().toString().removeprefix(self._root)
        return Url(self._url.scheme, self._url.authority, tuple(filter(None, below.split("/"))))

    @contextmanager
    def _one_line_errors(self) -> Iterator[None]:
        try:
            yield
        except TimeoutError as error:
            raise LogsError(explain(self._url, f"java.net.SocketTimeoutException: {error}", "")) from error
        except (Py4JJavaError, PySparkException) as error:
            text = str(error)
            if is_absence(text):
                raise AbsentError from error
            version = self._jvm.org.apache.hadoop.util.VersionInfo.getVersion()
            raise LogsError(explain(self._url, text, version)) from error


def _listed(start: Callable[[], Any]) -> Iterator[Any]:
    """What a listing holds; no more than its first answer has to come soon."""

    def first_answer() -> tuple[Any, bool]:
        iterator = start()
        return iterator, iterator.hasNext()

    iterator, more = within(PATIENCE, first_answer)
    while more:
        yield iterator.next()
        more = iterator.hasNext()


def _changed(status: Any) -> int:
    return int(status.getModificationTime()) * _NANOSECONDS
