"""A file system of its own that is full."""

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_MOUNTED = """
set -e
mount -t tmpfs -o "$2" none "$1"
dd if=/dev/zero of="$1/filler" bs=4096 2>/dev/null || true
shift 2
exec "$@"
"""
Run = Callable[..., subprocess.CompletedProcess[str]]


@contextmanager
def full_file_system(folder: Path, files: int) -> Iterator[Run]:
    """Yield what runs a command for which `folder` is a full disk: so many files can be created, and none written."""
    mounting = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
    if subprocess.run([*mounting, 'mount -t tmpfs none "$0"', folder], capture_output=True, check=False).returncode:
        pytest.skip("the kernel lets this user mount no file system of its own")

    def run(*command: str) -> subprocess.CompletedProcess[str]:
        options = f"size=64k,nr_inodes={files + 2}"  # the root, and what fills it
        whole = [*mounting, _MOUNTED, "sh", str(folder), options, *command]
        return subprocess.run(whole, capture_output=True, text=True, timeout=300, check=False)

    yield run
