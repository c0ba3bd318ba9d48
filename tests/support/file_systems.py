"""A file system of its own that is full."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_MOUNTED = """
set -e
mount -t tmpfs -o "$2" none "$1"
mkdir "$1/nights"
touch "$1/nights/_lock"
test "$3" = bytes || rm "$1/nights/_lock"
dd if=/dev/zero of="$1/filler" bs=4096 2>/dev/null || true
exec "$4" -c "$5" "$1/nights"
"""
_LIMITS = {"bytes": "size=64k", "files": "size=64k,nr_inodes=3"}  # the root, a folder, and what fills it


@contextmanager
def full_file_system(folder: Path, of: str) -> Iterator[Callable[[str], str]]:
    """Yield what runs Python code with a folder of a full disk as its argument, and returns what it printed.

    Args:
        of: `bytes`, so that files can be created and not written, or `files`, so that none can be created.
    """
    mounting = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
    if subprocess.run([*mounting, 'mount -t tmpfs none "$0"', folder], capture_output=True, check=False).returncode:
        pytest.skip("the kernel lets this user mount no file system of its own")

    def run(code: str) -> str:
        command = [*mounting, _MOUNTED, "sh", folder, _LIMITS[of], of, sys.executable, code]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    yield run
