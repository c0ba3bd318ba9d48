"""Which kind of place nights are published in."""

from pathlib import Path

from afm_core.settings import Settings
from afm_core.storage.locations import Location
from pipelines.scoring.published.delta_nights import DeltaNights
from pipelines.scoring.published.parquet_nights import ParquetNights
from pipelines.scoring.published.store import NightStore


def night_store(settings: Settings, path: Location) -> NightStore:
    """The nights that are, or will be, published at a path. Opens nothing yet."""
    if isinstance(path, Path) and settings.nightly.format != "delta":
        return ParquetNights(path)
    return DeltaNights(path)
