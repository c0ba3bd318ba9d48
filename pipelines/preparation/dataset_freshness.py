"""Whether a dataset is what a preparation would write again."""

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from afm_core.errors import DatasetError
from afm_core.features import FeatureMap
from afm_core.settings import Settings
from pipelines.dataset import FORMAT_VERSION, Dataset, Manifest
from pipelines.encoding.digest import text_digest
from pipelines.logs.sources import fingerprint

_SECTIONS = {"name", "seed", "logs", "fields", "label", "negatives", "split"}


def made_from(settings: Settings, extend: Path | None) -> str | None:
    """Digest of everything that decides the rows of a dataset; None where the logs are a table, which has no files.

    Raises:
        LogsError: there are no logs.
        AfmError: there is no feature table to extend.
    """
    extends = FeatureMap.read(extend).fingerprint if extend else ""
    logs = fingerprint(settings.logs)
    if logs is None:
        return None
    try:
        software = version("attentional-fm")
    except PackageNotFoundError:
        software = "unknown"
    decisive = settings.model_dump_json(include=_SECTIONS)
    return text_digest(logs, decisive, str(settings.rows_per_file), extends, software, str(FORMAT_VERSION))


def up_to_date(settings: Settings, extend: Path | None = None) -> Manifest | None:
    """The manifest of a whole dataset that was made from the same logs and settings, else None."""
    try:
        dataset = Dataset.open(settings.dataset.path)
        for split in dataset.manifest.splits:
            dataset.files(split)
    except DatasetError:
        return None
    made = made_from(settings, extend)
    return dataset.manifest if made is not None and dataset.manifest.made_from == made else None
