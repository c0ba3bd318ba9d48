"""A night of a Delta table as a kind of artefact."""

import json
from datetime import date
from pathlib import Path

from afm_core.settings import load_settings
from pipelines.scoring.published.delta_nights import DeltaNights
from tests.support.night_stores import fill, models, table_of
from tests.support.published_kinds import Kind

NIGHT = date(2026, 1, 15)


def delta_night(small: Path, folder: Path) -> Kind:
    """Two files of three rows, all of one model, which the manifest of the commit names, too."""
    settings, store = load_settings(small / "settings.yaml"), DeltaNights(folder / "delta")

    def read() -> str:
        version = table_of(store).version()
        log = folder / "delta" / "_delta_log" / f"{version:020}.json"  # history() numbers wrongly while others commit
        commit = next(entry for entry in map(json.loads, log.read_text().splitlines()) if "commitInfo" in entry)
        manifest = json.loads(commit["commitInfo"]["manifest"])
        rows = models(store, NIGHT, version)
        assert len(rows) == 6
        return "".join(sorted({manifest["model"], *map(str, rows)}))

    def publish(variant: str) -> None:
        fill(store, NIGHT, variant, settings)

    return Kind("night of a Delta table", publish, read, folder / "none", in_forks=True)
