"""How every task publishes a night: its files, a manifest and the effective settings, in one step or not at all."""

import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from afm_core.errors import EmptyLogsError
from afm_core.settings import Settings, write_settings
from afm_core.storage.leases import LEASE
from afm_core.storage.places import Place
from afm_core.storage.publishing import staged
from pipelines import phases
from pipelines.contract_checks import Contract
from pipelines.scoring.night_dates import night_folder
from pipelines.scoring.worker.writer import write_empty

# Spark does not read names that begin with an underscore as data.
MANIFEST_FILE, SETTINGS_FILE = "_manifest.json", "_settings.yaml"

M = TypeVar("M", bound=BaseModel)


def publish_night(
    settings: Settings,
    output: Path,
    night: date,
    contract: Contract,
    write: Callable[[Path], M],
    describe_empty: Callable[[], M],
) -> M:
    """Write a night into a folder of its own and replace whatever was published for it. Returns the manifest.

    A night whose logs have no rows is published as one empty file.

    Args:
        output: folder of the published nights.
        contract: the table that is published.
        write: writes the files into the folder that it gets, and returns their manifest.
        describe_empty: the manifest of a night without rows.

    Raises:
        AfmError: raised by `write`, or a file cannot be written; what was published before stays.
    """
    with staged(_place(output, night), (MANIFEST_FILE,)) as stage:
        try:
            manifest = write(stage)
        except EmptyLogsError:
            _empty(stage)  # of files that `write` had begun
            write_empty(contract, stage)
            manifest = describe_empty()
        (stage / MANIFEST_FILE).write_text(manifest.model_dump_json(indent=2) + "\n", encoding="utf-8")
        write_settings(settings, stage / SETTINGS_FILE)
        phases.reached(phases.ABOUT_TO_PUBLISH, stage)
    phases.reached(phases.PUBLISHED, output)
    return manifest


def _place(output: Path, night: date) -> Place:
    folder = night_folder(output, night)
    return Place.of_partition(folder.parent, folder.name)


def _empty(stage: Path) -> None:
    for path in stage.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != LEASE:
            path.unlink()


def read_published(output: Path, night: date, manifest: type[M]) -> M | None:
    """The manifest of a published night; None where there is none, or one of an incompatible version."""
    try:
        text = (night_folder(output, night) / MANIFEST_FILE).read_text(encoding="utf-8")
        return manifest.model_validate_json(text)
    except (OSError, ValidationError):
        return None
