"""Comparing folders."""

import hashlib
import os
from pathlib import Path

ROOT = Path(__file__).parents[2]
"""The project."""


def staging(target: Path) -> list[Path]:
    """Folders in which runs write what they will publish at `target`, or at partitions of it."""
    versions = target.with_name(f"{target.name}.versions")
    return [*versions.glob(".staging-*"), *versions.glob("*/.staging-*")]  # not `**`: what is in them comes and goes


def files_in(folder: Path) -> list[Path]:
    """All files below a folder, also through links such as those of published nights."""
    return sorted(Path(at) / name for at, _, names in os.walk(folder, followlinks=True) for name in names)


def snapshot(folder: Path) -> dict[str, str]:
    """Digest of every file below `folder` by its path; two equal snapshots mean that nothing was touched."""
    files = files_in(folder)
    return {str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}
