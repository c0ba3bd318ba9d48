"""Whether one feature map keeps what the ids of another mean."""

from pathlib import Path

from afm_core.features.feature_map import FeatureMap
from afm_core.features.feature_table import read_feature_table


def keeps_ids(table: Path, older: Path) -> bool:
    """Whether every id of an older feature table means the same in another: it is the same map, or was extended.

    Cost: a pass over both tables.

    Raises:
        AfmError: one of them is not a feature table.
    """
    ours, theirs = FeatureMap.read(table), FeatureMap.read(older)
    if ours.fingerprint == theirs.fingerprint:
        return True
    if ours.names != theirs.names or ours.n_ids < theirs.n_ids:
        return False
    for new, old in zip(ours.fields, theirs.fields, strict=True):
        if (new.declared, new.unknown_id, new.scaling) != (old.declared, old.unknown_id, old.scaling):
            return False
    new_table, old_table = read_feature_table(table), read_feature_table(older)
    return bool(
        new_table.slice(0, old_table.num_rows)
        .replace_schema_metadata(None)
        .equals(old_table.replace_schema_metadata(None))
    )
