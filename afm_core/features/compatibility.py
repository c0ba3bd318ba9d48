"""Whether ids of one feature map keep their meaning in another."""

from pathlib import Path

from afm_core.features.feature_map import FeatureMap
from afm_core.features.feature_table import read_feature_table


def keeps_ids(newer: Path, older: Path) -> bool:
    """Whether every id of the older feature table means the same in the newer one: an equal map, or an extension of it.

    Cost: one pass over both tables, unless the fingerprints are equal.

    Raises:
        AfmError: one of the files is not a feature table.
    """
    new_map, old_map = FeatureMap.read(newer), FeatureMap.read(older)
    if new_map.fingerprint == old_map.fingerprint:
        return True
    if new_map.names != old_map.names or new_map.n_ids < old_map.n_ids:
        return False
    for new, old in zip(new_map.fields, old_map.fields, strict=True):
        if (new.declared, new.unknown_id, new.scaling) != (old.declared, old.unknown_id, old.scaling):
            return False
    new_table, old_table = read_feature_table(newer), read_feature_table(older)
    return bool(
        new_table.slice(0, old_table.num_rows)
        .replace_schema_metadata(None)
        .equals(old_table.replace_schema_metadata(None))
    )
