"""Comparing folders."""

import hashlib
from pathlib import Path

ROOT = Path(__file__).parents[2]
"""The project."""


def snapshot(folder: Path) -> dict[str, str]:
    """Digest of every file below `folder` by its path; two equal snapshots mean that nothing was touched."""
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    return {str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}
