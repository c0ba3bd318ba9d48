"""Packs the project for `spark-submit --py-files`. The same sources give the same bytes, on any machine."""

import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = (
    "afm_core",
    "pipelines",
    "jobs",
)  # jobs for the driver: a script's own folder is on its path, the root is not
SUFFIXES = (".py", ".properties", ".jinja")
EPOCH = (1980, 1, 1, 0, 0, 0)


def pack(target: Path) -> None:
    """Write every module and its data below `ROOT` to `target`, which appears whole or not at all."""
    files = sorted(file for package in PACKAGES for file in (ROOT / package).rglob("*") if file.suffix in SUFFIXES)
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_suffix(".unfinished")
    with zipfile.ZipFile(unfinished, "w", zipfile.ZIP_STORED) as archive:  # zlib's bytes depend on its version
        for file in files:
            entry = zipfile.ZipInfo(file.relative_to(ROOT).as_posix(), EPOCH)
            entry.create_system, entry.external_attr = 3, 0o100644 << 16
            archive.writestr(entry, file.read_bytes())
    unfinished.replace(target)


if __name__ == "__main__":
    pack(Path(sys.argv[1]))
