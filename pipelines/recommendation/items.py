"""Which field is the user's and which the item's, and the items to choose from."""

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from afm_core.bundle import Bundle
from afm_core.errors import LogsError, SettingsError
from afm_core.features import Derived
from afm_core.features.feature_table import read_feature_table
from afm_core.settings import Settings
from afm_core.storage.provenance import text_digest
from pipelines.logs.files.opening import file_tree
from pipelines.spark_on_demand import SparkOnDemand


def user_and_item(settings: Settings) -> tuple[str, str]:
    """The field that identifies a user, and the one that negatives replace, which is the item.

    Raises:
        SettingsError: there is not exactly one of each, or another field is computed from the item.
    """
    replaced, seen_by = settings.negatives.replace, settings.seen_by
    if len(replaced) != 1 or len(seen_by) != 1 or not {*replaced, *seen_by} <= {*settings.field_names}:
        raise SettingsError(
            ["recommendations need one field in negatives.replace, the item, and one in negatives.never_seen_by"]
        )
    (item,) = replaced
    derived = [field for field in settings.fields if isinstance(field, Derived)]
    dependent = [field.name for field in derived if item in field.of] + list(settings.replaced_with_item)
    several = [field.name for field in settings.fields if field.width > 1 or field.carries_x]
    if dependent or several:
        names = ", ".join(dependent or several)
        reason = f"are computed from {item}" if dependent else "have several ids per event, or an x_i"
        raise SettingsError([f"recommendations exchange the id of {item} alone, but {names} {reason}; leave them out"])
    return seen_by[0], item


def candidate_items(settings: Settings, spark: SparkOnDemand, bundle: Bundle, item: str) -> NDArray[np.int64]:
    """(N,) ids of the items to choose from, the most frequent in training first.

    They are the values listed in `recommend.items`, or all items of the training; of these, the
    `recommend.popular_items` most frequent.

    Raises:
        LogsError: the list cannot be read, or the model knows none of its values.
    """
    table = read_feature_table(bundle.features_path, ["value", "count"], [item])
    table = table.filter(pc.is_valid(table["value"]))
    ids, values, counts = (table[name].to_numpy() for name in ("id", "value", "count"))
    listed = _listed_values(settings, spark, item)
    if listed is not None:
        is_listed = np.isin(values.astype(str), listed)
        if not is_listed.any():
            raise LogsError(f"{settings.recommend.items}: the model knows none of its {len(listed):,} values of {item}")
        ids, counts = ids[is_listed], counts[is_listed]
    by_count = np.lexsort((ids, -counts))
    items: NDArray[np.int64] = ids[by_count[: settings.recommend.popular_items]].astype(np.int64)
    return items


def items_digest(settings: Settings, spark: SparkOnDemand) -> str:
    """Digest of the list of items, empty where there is none.

    Raises:
        LogsError: the list cannot be read.
    """
    listed = _listed_values(settings, spark, "the item")
    return "" if listed is None else text_digest(*listed)


def _listed_values(settings: Settings, spark: SparkOnDemand, item: str) -> list[str] | None:
    path = settings.recommend.items
    if path is None:
        return None
    try:
        return file_tree(path, spark).read().decode().splitlines()
    except UnicodeDecodeError as error:
        raise LogsError(f"{path}: not UTF-8; write one value of {item} per line") from error
