"""Whether a model of the settings can learn from a dataset."""

from afm_core.errors import DatasetError
from afm_core.settings import Settings
from pipelines.dataset import Dataset


def checked_dataset(settings: Settings, dataset: Dataset) -> Dataset:
    """Return the dataset.

    Raises:
        DatasetError: its fields or its split do not suit the settings, a split that training needs is empty, or all
            labels are the same.
    """
    manifest, path = dataset.manifest, settings.dataset.path
    if dataset.feature_map.names != settings.field_names:
        raise DatasetError(
            f"{path}: holds the fields {', '.join(dataset.feature_map.names)}, the settings say "
            f"{', '.join(settings.field_names)}; prepare again"
        )
    if settings.train.task == "ranking" and manifest.split_by != "positive":
        raise DatasetError(
            f"{path}: split by {manifest.split_by}, but ranking needs each positive in the split of its negatives; "
            "prepare again with split.by: positive"
        )
    for split in ("train", "valid"):
        if not manifest.splits[split].rows:
            raise DatasetError(
                f"{path}: its {split} split has no rows; prepare it from more logs, or split it otherwise"
            )
    negatives = manifest.instances - manifest.positives
    if settings.label.range is None and not (manifest.positives and negatives):
        which = "positive" if manifest.positives else "negative"
        asked = f" ({manifest.negatives_asked:,} negatives asked for, none found)" if manifest.negatives_asked else ""
        raise DatasetError(
            f"{path}: all {manifest.instances:,} labels are {which}{asked}, so that there is nothing to learn; "
            "correct the label's column, or let negatives be drawn from more values"
        )
    return dataset
