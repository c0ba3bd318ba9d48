"""Which vocabularies Spark's Python workers hold."""

from afm_core.features import FeatureMap, Tags, has_vocabulary

HELD_VALUES, HELD_IN_ALL = 100_000, 2_000_000
"""Largest vocabulary that every Python worker may hold in memory, and the largest sum of all of them."""


def held_in_workers(feature_map: FeatureMap) -> frozenset[str]:
    """Names of the fields whose vocabularies Python workers hold: those of tags, and of the others the smallest."""
    with_values = [ids for ids in feature_map.fields if has_vocabulary(ids.declared)]
    held, total = {ids.name for ids in with_values if isinstance(ids.declared, Tags)}, 0
    for ids in sorted(with_values, key=lambda ids: ids.size):
        total += ids.size
        if ids.size <= HELD_VALUES and total <= HELD_IN_ALL:
            held.add(ids.name)
    return frozenset(held)
