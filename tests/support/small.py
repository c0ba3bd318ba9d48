"""The small data set that most tests share."""

from dataclasses import dataclass
from pathlib import Path

from afm_core.settings import Settings
from pipelines.dataset import Dataset
from tests.support.config import ROWS_PER_FILE, write_config


@dataclass(frozen=True)
class Small:
    """A small data set that went through all jobs once. Tests read it; those that write make their own."""

    folder: Path
    config: Path
    settings: Settings

    @property
    def dataset(self) -> Dataset:
        return Dataset.open(self.settings.dataset.path)

    def training_config(self, folder: Path, train: dict[str, object], **sections: object) -> Path:
        """Settings of a training on this dataset that writes below `folder`."""
        dataset = {"path": str(self.settings.dataset.path), "rows_per_file": ROWS_PER_FILE}
        return write_config(folder, self.settings.logs.path, **{"dataset": dataset, "train": train, **sections})

    def scoring_config(self, folder: Path, nights: Path | None = None, **sections: object) -> Path:
        """Settings that score with this data set's bundle and write below `folder`."""
        run = {"path": str(self.settings.run.path)}
        return write_config(folder, nights or self.settings.nightly.logs, **{"run": run, **sections})
