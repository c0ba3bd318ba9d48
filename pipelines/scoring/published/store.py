"""What the tasks of a night and their runner ask of the place where nights are published."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from datetime import date
from typing import NamedTuple, Protocol

import pyarrow as pa

from afm_core.settings import Settings
from afm_core.storage.locations import Location
from pipelines.contract_checks import Contract


class Part(NamedTuple):
    """A file that a Spark task has written and closed."""

    name: str
    rows: int
    size: int
    """In bytes."""


class OpenPart(NamedTuple):
    """A file that a Spark task is writing."""

    name: str
    file: pa.NativeFile


class PartFiles(Protocol):
    """Creates the files of a night. Spark sends it to its Python workers."""

    def create(self, task: int) -> AbstractContextManager[OpenPart]:
        """A file of its own for each try of a task; it is there, whole, when the block ends without an error."""


class NightStage(Protocol):
    """A night that is being written. Nobody sees it before it is published."""

    @property
    def parts(self) -> PartFiles:
        """Creates the files with the rows."""

    @property
    def rejects(self) -> Location:
        """The folder for the rejected rows; it does not exist yet."""

    def keep(self, parts: Sequence[Part]) -> None:
        """Choose the files that are published: those of the tasks that succeeded, in the order of the tasks."""

    def kept(self) -> Sequence[Location]:
        """The files that were chosen, or the folder in which they are alone."""

    def describe(self, manifest: str, settings: Settings) -> None:
        """Say what the night contains, as JSON, and what it was made with."""

    def clear(self) -> None:
        """Remove everything that was written so far."""


class NightStore(Protocol):
    """The published nights of one folder or table. Each is replaced as a whole, or stays as it is."""

    @property
    def path(self) -> Location:
        """Where they are. The ledger lies there too."""

    def where(self, night: date) -> str:
        """Where readers find a night, for people."""

    def locked(self) -> AbstractContextManager[None]:
        """Keep other runs from publishing here, as far as the storage can; who lost the lock publishes nothing.

        Raises:
            BusyError: another run publishes here.
        """

    def nights(self) -> list[date]:
        """The published nights, oldest first."""

    def manifest(self, night: date) -> str | None:
        """What `describe` was given for a published night; None where there is none."""

    def staged(self, night: date, contract: Contract) -> AbstractContextManager[NightStage]:
        """A stage that is published when the block ends without an error, instead of what was published before.

        Args:
            contract: the table that is published.

        Raises:
            ForeignFolderError: what is there was not published there.
            RepublishedError: another run has published the night since the stage was opened.
            BusyError: the lock of `locked` was lost in the meantime.
            MachineError: the storage does not answer, or does not let us write.
        """
