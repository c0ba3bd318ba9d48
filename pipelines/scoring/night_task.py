"""What the runner of nights and the tasks that it runs agree on."""

from dataclasses import dataclass
from datetime import date
from typing import Any, Protocol, TypeVar

from pyspark.sql import SparkSession

from afm_core.bundle import Bundle
from afm_core.storage.locations import Location
from afm_core.storage.provenance import Provenance
from pipelines.logs.inputs import Inputs
from pipelines.scoring.monitoring.ledger import NightFigures
from pipelines.scoring.published.store import NightStore


class PublishedNight(Protocol):
    """The manifest of a published night."""

    @property
    def made_from(self) -> Provenance:
        """What the night was made from."""

    @property
    def figures(self) -> NightFigures:
        """What the ledger records of it."""


Manifest = TypeVar("Manifest", bound=PublishedNight, covariant=True)


@dataclass(frozen=True)
class Night:
    """One night to process."""

    date: date
    logs: Location
    """Folder of its logs."""
    inputs: Inputs
    """Their files and those of joined tables, as they were before they were read."""
    bundle: Bundle
    made_from: Provenance
    may_be_empty: bool = True
    """Whether it is published if it has no rows; otherwise its logs are not written yet."""


class NightTask(Protocol[Manifest]):
    """What is done with each night."""

    @property
    def store(self) -> NightStore:
        """Where the nights are published, and the ledger."""

    @property
    def options(self) -> dict[str, Any]:
        """What decides the result besides settings, logs, software and model."""

    def check_bundle(self, bundle: Bundle) -> None:
        """Raise an AfmError where the bundle cannot be used for this task."""

    def published(self, night: date) -> Manifest | None:
        """The manifest of what is published for a night, None where nothing is."""

    def process(self, spark: SparkSession, night: Night) -> Manifest:
        """Process one night and publish it as a whole, or raise an AfmError and leave what was published."""
