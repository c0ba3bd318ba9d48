"""Nights of logs and nights of scores, by date."""

from datetime import date
from pathlib import Path

from afm_core.errors import LogsError
from pipelines.logs.sources import PARTITION


def night_folder(root: Path, night: date) -> Path:
    """Where a night lies under `root`."""
    return root / f"{PARTITION}={night.isoformat()}"


def find_night(logs: Path, night: date) -> Path:
    """The folder of a night's logs.

    Raises:
        LogsError: there is none; says which there are.
    """
    folder = night_folder(logs, night)
    if folder.is_dir():
        return folder
    known = sorted(found.name.partition("=")[2] for found in logs.glob(f"{PARTITION}=*") if found.is_dir())
    there = f"the nights there are {known[0]} to {known[-1]}" if known else f"no {PARTITION}=YYYY-MM-DD folder is there"
    raise LogsError(f"{logs}: no logs for {night.isoformat()}; {there}; correct --date or score.logs")
