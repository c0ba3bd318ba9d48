"""Nights as partitions of a Delta table, on a disk, in an object store or in HDFS.

Beside the rows, `_nights/dt=YYYY-MM-DD/RUN/` holds the manifest, the settings and the rejected rows of each run, where
RUN is the number that the table keeps for the night. Delta, as Spark, ignores names that begin with an underscore.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from uuid import uuid4

import pyarrow as pa

from afm_core.errors import AfmError, ForeignFolderError, MachineError, SettingsError
from afm_core.settings import Settings, write_settings
from afm_core.storage.anywhere import CountedFile, created, folder_names, read_file
from afm_core.storage.atomic import write_text
from afm_core.storage.locations import Location
from afm_core.storage.locks import locked
from afm_core.storage.paths import make_folder
from afm_core.storage.publishing import Condition, do_not_ask, remove_folder
from pipelines.contract_checks import Contract
from pipelines.logs.sources import PARTITION
from pipelines.scoring.night_dates import night_name
from pipelines.scoring.published.delta_table import create_table, published_nights, replace_night, run_of
from pipelines.scoring.published.store import OpenPart, Part

_RUNS, _MANIFEST, _SETTINGS, _REJECTS = "_nights", "manifest.json", "settings.yaml", "rejects"
_DELTA_LOG = "_delta_log"
_NOT_IN_NAMES = " ,;{}()\n\t="  # what Delta allows in no name of a column
_KEPT_SECONDS = 30 * 24 * 3600  # as long as Delta keeps its log, and with it earlier versions


@dataclass(frozen=True)
class TableParts:
    """Files of a partition; a `pipelines.scoring.published.store.PartFiles`.

    They are no part of the table until they are committed, and what a try of a task has left behind never is.
    """

    folder: Location
    run: int

    @contextmanager
    def create(self, task: int) -> Iterator[OpenPart]:
        """Under a name of its own for each try of a task."""
        name = f"part-{task:05d}-{self.run}-{uuid4().hex[:8]}.parquet"
        with created(self.folder / name) as below, pa.PythonFile(CountedFile(below), mode="w") as file:
            yield OpenPart(name, file)


@dataclass
class TableStage:
    """A night that is being written; a `pipelines.scoring.published.store.NightStage`."""

    root: Location
    night: date
    run: int
    chosen: list[Part] = field(default_factory=list)
    manifest: str = ""

    @property
    def parts(self) -> TableParts:
        """Creates the files with the rows."""
        root = self.root.absolute() if isinstance(self.root, Path) else self.root
        return TableParts(root / night_name(self.night), self.run)

    @property
    def beside(self) -> Location:
        """The folder of what is published beside the rows."""
        return _beside(self.root, self.night, self.run)

    @property
    def rejects(self) -> Location:
        """The folder for the rejected rows."""
        return self.beside / _REJECTS

    def keep(self, parts: Sequence[Part]) -> None:
        """Choose the files that are committed."""
        self.chosen = list(parts)

    def kept(self) -> Sequence[Location]:
        """The files that were chosen."""
        return [self.root / night_name(self.night) / part.name for part in self.chosen]

    def describe(self, manifest: str, settings: Settings) -> None:
        """Write manifest and settings beside the rows; the commit holds the manifest, too."""
        self.manifest = manifest
        make_folder(self.beside)
        write_text(self.beside / _MANIFEST, manifest)
        write_settings(settings, self.beside / _SETTINGS)

    def clear(self) -> None:
        """Forget the files, and remove what lies beside. Files that are in no commit are for Delta's VACUUM."""
        self.chosen = []
        remove_folder(self.beside)


@dataclass
class DeltaNights:
    """The nights of a table; a `pipelines.scoring.published.store.NightStore`."""

    path: Location
    require_lock: Condition = field(default_factory=lambda: do_not_ask, init=False, repr=False, compare=False)
    """That of `locked`, once it is held."""

    def where(self, night: date) -> str:
        """The table and the partition."""
        return f"{self.path} (Delta table), {night_name(night)}"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the lock of a folder on a disk. Elsewhere the commit tells who was first."""
        if isinstance(self.path, Path):
            with locked(self.path) as lock:
                self.require_lock = lock.require_held
                try:
                    yield
                finally:
                    self.require_lock = do_not_ask
        else:
            read_file(self.path / _DELTA_LOG / "_last_checkpoint")  # one error for storage that does not answer
            yield

    def nights(self) -> list[date]:
        """The published nights, oldest first."""
        return published_nights(self.path)

    def manifest(self, night: date) -> str | None:
        """The manifest of a published night; None where there is none, or the night was deleted from the table."""
        run = run_of(self.path, night)
        if not run or night not in self.nights():
            return None
        content = read_file(_beside(self.path, night, run) / _MANIFEST)
        return None if content is None else content.decode()

    @contextmanager
    def staged(self, night: date, contract: Contract) -> Iterator[TableStage]:
        """Files that one commit puts in place of those of the night."""
        _require_names(contract)
        self.require_lock()  # before the work, too
        published = run_of(self.path, night)
        if published is None:
            _require_free(self.path)
            create_table(self.path, contract.arrow)  # before any file: else a rerun would find files of nobody
        before = published or 0
        stage = TableStage(self.path, night, max(time.time_ns() // 1000, before + 1))
        try:
            yield stage
            now = time.time_ns() // 1_000_000
            metadata = {PARTITION: str(night), "run": str(stage.run), "manifest": stage.manifest}
            files = [(part, now) for part in stage.chosen]
            self.require_lock()
            replace_night(self.path, night, contract.arrow, files, stage.run, before, metadata)
        except OSError as error:
            _discard(stage)
            if isinstance(error, ConnectionError):  # of what the block asks, such as Spark; a disk has none
                raise
            raise MachineError(
                f"{error.filename or self.path}: {error.strerror or error}; {self.where(night)} is unchanged; make "
                "sure that the job has space and permission to write there, and run it again"
            ) from error
        except BaseException:
            _discard(stage)
            raise
        with suppress(AfmError, OSError):  # the next publication tries again
            _remove_old(self.path, night, stage.run)


def _beside(root: Location, night: date, run: int) -> Location:
    return root / _RUNS / night_name(night) / str(run)


def _discard(stage: TableStage) -> None:
    """Remove what lies beside rows that are not published; where that cannot be known, it stays."""
    with suppress(AfmError, OSError):
        if run_of(stage.root, stage.night) != stage.run:
            stage.clear()


def _remove_old(root: Location, night: date, run: int) -> None:
    """Remove what lies beside rows that are gone, or were never published."""
    for name in folder_names(root / _RUNS / night_name(night)):
        if name.isdecimal() and run - int(name) > _KEPT_SECONDS * 1_000_000:
            remove_folder(_beside(root, night, int(name)))


def _require_names(contract: Contract) -> None:
    """Raise SettingsError where a name of a column cannot be one of a Delta table of nights."""
    for name in contract.names:
        if any(character in name for character in _NOT_IN_NAMES) or name.lower() == PARTITION:
            raise SettingsError(
                [
                    f"logs.keys: found {name!r}, which cannot be a column of a Delta table of nights: blanks, any of "
                    f",;{{}}()= and the name {PARTITION} are not allowed; rename it in the logs or leave it out"
                ]
            )
    names = [name.lower() for name in contract.names]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise SettingsError([f"logs.keys: Delta takes columns that differ in case alone for one, such as {twice[0]}"])


def _require_free(root: Location) -> None:
    """Nothing but a table of nights, the ledger and the lock may be in the folder."""
    names = folder_names(root)
    if _DELTA_LOG in names:  # of a table that another run has just created
        return
    foreign = [name for name in names if not name.startswith(("_", "."))]
    if foreign:
        raise ForeignFolderError(
            f"{root}: not made a Delta table, because it holds {foreign[0]}, which is none of its rows; name another "
            "folder, or move what is there"
        )
