"""SHA-256 checksums in hexadecimal digits."""

import hashlib
from pathlib import Path


def file_sha256(path: Path) -> str:
    """The checksum of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def text_sha256(text: str) -> str:
    """The checksum of a text in UTF-8."""
    return hashlib.sha256(text.encode()).hexdigest()
