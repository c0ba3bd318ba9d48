"""Whether preparing a dataset again would give the same dataset."""

from pathlib import Path

from afm_core.errors import DatasetError
from afm_core.features import FeatureMap
from afm_core.settings import Settings
from afm_core.storage.provenance import Provenance, settings_digest, software_version
from pipelines.console import messages
from pipelines.dataset import FORMAT_VERSION, Dataset, Manifest
from pipelines.dataset_integrity import check_content
from pipelines.logs.inputs import Inputs
from pipelines.spark_on_demand import SparkOnDemand

_SECTIONS = {"name", "seed", "logs", "fields", "label", "negatives", "split"}


def dataset_provenance(settings: Settings, inputs: Inputs, extend: Path | None) -> Provenance | None:
    """Everything that decides the rows of a dataset; None where logs are a table, which has no files to compare.

    Raises:
        AfmError: there is no feature table to extend.
    """
    extends = FeatureMap.read(extend).fingerprint if extend else None
    if inputs.fingerprint is None:
        return None
    return Provenance.of(
        logs=inputs.fingerprint,
        settings=settings_digest(settings, include=_SECTIONS),
        rows_per_file=settings.rows_per_file,
        extends=extends,
        software=software_version(),
        format=FORMAT_VERSION,
    )


def up_to_date(settings: Settings, spark: SparkOnDemand, extend: Path | None = None) -> Manifest | None:
    """The manifest of a complete and undamaged dataset that was made from the same logs and settings, else None.

    Cost: one read of the dataset's files where everything else is equal.
    """
    try:
        dataset = Dataset.open(settings.dataset.path)
        files = [(split, dataset.files(split)) for split in dataset.manifest.splits]
    except DatasetError:
        return None
    provenance = dataset_provenance(settings, Inputs.of(settings.logs, spark), extend)
    if provenance is None or dataset.manifest.made_from != provenance:
        return None
    try:
        for split, files_of_split in files:
            for file, checksum in zip(files_of_split, dataset.checksums(split), strict=True):
                check_content(file, checksum)
    except DatasetError as damage:
        messages.print(f"  {damage}")
        return None
    return dataset.manifest
