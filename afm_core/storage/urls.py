"""URLs of the storage that logs may lie in: parsed once, named for Spark's connectors and for Python's.

`s3` and `s3a` are two names of one place. Here it is `s3`; `Url.for_spark` says `s3a`, as Hadoop's connector does.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

ALLOWED = "file, s3 (or s3a), gs, abfss and hdfs"
"""The schemes, for messages."""
_CANONICAL = {"s3": "s3", "s3a": "s3", "gs": "gs", "abfss": "abfss", "hdfs": "hdfs"}
_FOR_SPARK = {"s3": "s3a"}
_WITHOUT_FOLDERS = ("s3", "gs")
_BUCKET = r"[A-Za-z0-9][\w.-]*"
_AUTHORITIES = {
    "s3": (re.compile(_BUCKET), "s3://BUCKET/PATH"),
    "gs": (re.compile(_BUCKET), "gs://BUCKET/PATH"),
    "abfss": (re.compile(rf"[\w$-]+@{_BUCKET}"), "abfss://CONTAINER@ACCOUNT.dfs.core.windows.net/PATH"),
    "hdfs": (re.compile(r"([\w.-]+|\[[0-9A-Fa-f:]+\])?(:\d+)?"), "hdfs://HOST:PORT/PATH or hdfs:///PATH"),
}


@dataclass(frozen=True, order=True)
class Url:
    """A file, folder or pattern in remote storage. Names are literal: `%20` is three characters, not a blank."""

    scheme: str
    authority: str
    """Bucket, `container@account`, or host and port; empty for the default file system of `hdfs:///`."""
    parts: tuple[str, ...] = ()
    """Names of the folders, then the last name; empty for the root."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """The URL that a text names. Doubled slashes and `..` are resolved, as Hadoop's paths do.

        Raises:
            ValueError: an unsupported scheme, or no bucket or host where one is needed.
        """
        scheme, _, rest = text.partition("://")
        authority, _, path = rest.partition("/")
        canonical = _CANONICAL.get(scheme.lower())
        if canonical is None:
            raise ValueError(f"found {text!r}, allowed are local paths and URLs of {ALLOWED}")
        pattern, form = _AUTHORITIES[canonical]
        if not pattern.fullmatch(authority):
            raise ValueError(f"found {text!r}, allowed is {form}")
        return cls(canonical, authority, _resolved(path.split("/")))

    @property
    def name(self) -> str:
        """The last part; empty for the root."""
        return self.parts[-1] if self.parts else ""

    @property
    def parents(self) -> Sequence[Self]:
        """The folders above, nearest first, as those of a `Path`."""
        folders = (self.parts[:length] for length in range(len(self.parts) - 1, -1, -1))
        return [type(self)(self.scheme, self.authority, parts) for parts in folders]

    @property
    def parent(self) -> Self:
        """The folder above; the root is its own, as that of a `Path`."""
        return type(self)(self.scheme, self.authority, self.parts[:-1])

    @property
    def has_folders(self) -> bool:
        """Whether a folder can exist without a file in it; in a bucket it is only part of the files' names."""
        return self.scheme not in _WITHOUT_FOLDERS

    @property
    def for_spark(self) -> str:
        """The URL for Hadoop's connectors."""
        return f"{_FOR_SPARK.get(self.scheme, self.scheme)}://{self.authority}/{'/'.join(self.parts)}"

    @property
    def for_python(self) -> str:
        """The URL for fsspec."""
        return f"{self.scheme}://{self.authority}/{'/'.join(self.parts)}"

    def __truediv__(self, name: str) -> Self:
        return type(self)(self.scheme, self.authority, (*self.parts, *name.split("/")))

    def __str__(self) -> str:
        return self.for_python


def _resolved(names: Sequence[str]) -> tuple[str, ...]:
    parts: list[str] = []
    for name in names:
        if name == "..":
            parts = parts[:-1]
        elif name not in ("", "."):
            parts.append(name)
    return tuple(parts)
