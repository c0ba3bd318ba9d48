"""How often the columns of the logs were empty when the feature map of a bundle was fitted."""

import numpy as np

from afm_core.bundle import Bundle
from afm_core.features import Numeric
from afm_core.features.feature_table import read_feature_table
from afm_core.features.field import SINGLE_ID


def usually_missing(bundle: Bundle) -> dict[str, float]:
    """By column, the largest share of events without a value that the counts of the feature table allow.

    Rare values count as missing, for they share the unknown id. Columns of tags, and of numbers that are replaced by
    the mean, are left out: the table does not count what they lack.
    """
    counts = read_feature_table(bundle.features_path, ["count"])["count"].fill_null(0).to_numpy()
    fields = bundle.feature_map.fields
    single = [ids for ids in fields if isinstance(ids.declared, SINGLE_ID)]
    events = max(
        (int(counts[ids.unknown_id] + counts[ids.ids(np.arange(ids.size))].sum()) for ids in single), default=0
    )
    shares: dict[str, float] = {}
    for ids in fields:
        is_counted = isinstance(ids.declared, SINGLE_ID) or (
            isinstance(ids.declared, Numeric) and ids.declared.missing == "unknown"
        )
        for source in ids.declared.sources if events and is_counted else ():
            share = int(counts[ids.unknown_id]) / events
            shares[source] = min(share, shares.get(source, 1.0))
    return shares
