"""Nights as folders of Parquet on a disk: `dt=YYYY-MM-DD/`, each a link to a version that is replaced in one step."""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from uuid import uuid4

import pyarrow as pa

from afm_core.errors import ForeignFolderError
from afm_core.settings import Settings, write_settings
from afm_core.storage.leases import LEASE
from afm_core.storage.locks import locked
from afm_core.storage.places import Place
from afm_core.storage.publishing import Condition, do_not_ask, staged
from pipelines.contract_checks import Contract
from pipelines.logs.files.local import LocalTree
from pipelines.scoring.night_dates import night_folder, nights_in
from pipelines.scoring.published.store import OpenPart, Part

# Spark does not read names that begin with an underscore as data.
MANIFEST_FILE, SETTINGS_FILE = "_manifest.json", "_settings.yaml"
_REJECTS, _UNFINISHED, _DELTA_LOG = "_rejects", "_unfinished", "_delta_log"


@dataclass(frozen=True)
class FolderParts:
    """Files of a folder that every executor sees; a `pipelines.scoring.published.store.PartFiles`.

    A task that is retried replaces its file, and one that is interrupted leaves none.
    """

    folder: Path
    run: str
    """In every name: a reader that listed another version of the night must not find its files here."""

    @contextmanager
    def create(self, task: int) -> Iterator[OpenPart]:
        """Under a name of its own until it is complete, because two tries of a task may run at once."""
        name = f"part-{task:05d}-{self.run}.parquet"
        unfinished = self.folder / _UNFINISHED / f"{uuid4().hex}-{name}"
        with pa.OSFile(str(unfinished), "wb") as file:
            yield OpenPart(name, file)
        unfinished.replace(self.folder / name)


@dataclass(frozen=True)
class ParquetStage:
    """A night that is being written; a `pipelines.scoring.published.store.NightStage`."""

    path: Path
    """Its folder."""

    @property
    def parts(self) -> FolderParts:
        """Creates the files with the rows."""
        (self.path / _UNFINISHED).mkdir(exist_ok=True)
        return FolderParts(self.path.absolute(), uuid4().hex[:8])

    @property
    def rejects(self) -> Path:
        """The folder for the rejected rows."""
        return self.path / _REJECTS

    def keep(self, parts: Sequence[Part]) -> None:
        """Those of other tries are still unfinished. A task that was given up may even now be writing there."""
        shutil.rmtree(self.path / _UNFINISHED, ignore_errors=True)

    def kept(self) -> Sequence[Path]:
        """The folder."""
        return [self.path]

    def describe(self, manifest: str, settings: Settings) -> None:
        """Write manifest and settings beside the rows."""
        (self.path / MANIFEST_FILE).write_text(manifest, encoding="utf-8")
        write_settings(settings, self.path / SETTINGS_FILE)

    def clear(self) -> None:
        """Remove everything but the lease."""
        for path in self.path.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif path.name != LEASE:
                path.unlink()


@dataclass
class ParquetNights:
    """The nights of a folder; a `pipelines.scoring.published.store.NightStore`."""

    path: Path
    require_lock: Condition = field(default_factory=lambda: do_not_ask, init=False, repr=False, compare=False)
    """That of `locked`, once it is held."""

    def where(self, night: date) -> str:
        """The folder of a night."""
        return str(night_folder(self.path, night))

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the lock of the folder."""
        with locked(self.path) as lock:
            self.require_lock = lock.require_held
            try:
                yield
            finally:
                self.require_lock = do_not_ask

    def nights(self) -> list[date]:
        """The published nights, oldest first."""
        return nights_in(LocalTree(self.path))

    def manifest(self, night: date) -> str | None:
        """The manifest of a published night; None where there is none that can be read."""
        try:
            return (night_folder(self.path, night) / MANIFEST_FILE).read_text(encoding="utf-8")
        except OSError:
            return None

    @contextmanager
    def staged(self, night: date, contract: Contract) -> Iterator[ParquetStage]:
        """A folder that becomes the version of a night that readers find."""
        if (self.path / _DELTA_LOG).is_dir():
            raise ForeignFolderError(
                f"{self.path}: is a Delta table, in which folders of Parquet would be lost; say score.format: delta, "
                "or name another folder"
            )
        self.require_lock()  # before the work, too
        folder = night_folder(self.path, night)
        place = Place.of_partition(folder.parent, folder.name)
        with staged(place, (MANIFEST_FILE,), self.require_lock) as stage:
            yield ParquetStage(stage)
