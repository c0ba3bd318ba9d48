"""What a bundle remembers of the rows that it was validated on, so that nights can be compared with them."""

from typing import Any

import numpy as np

from afm_core.drift.stability_index import id_profile, number_profile
from afm_core.features import CoOccurrence, Crossed, Frequency, Numeric
from afm_core.inference.scorer import Scorer
from pipelines.dataset import Dataset
from pipelines.feeding.feed import Feed
from pipelines.feeding.shard_plan import ShardPlan

_AT_ONCE = 1024
_SAMPLE = 1_000_000
"""Positives whose fields are looked at; the rows stand in random order."""


def profile_positives(scorer: Scorer, dataset: Dataset) -> dict[str, Any]:
    """Of the validation split's positives, which are what logs are made of: their scores, and some of their fields.

    Those are the fields whose values the feature table does not count: numbers, crossed, count and affinity fields. A
    missing value is left out. Cost: a pass over the split; memory for a number a row, and a million rows of the fields.
    """
    slots = dataset.feature_map.slots
    fields = [
        (at, ids)
        for at, ids in enumerate(slots)
        if isinstance(ids.declared, Numeric | Crossed | Frequency | CoOccurrence)
    ]
    plan = ShardPlan(dataset.manifest.splits["valid"].rows, dataset.manifest.rows_per_file, _AT_ONCE, 0, 1)
    scores, ids, x, rows = [], [], [], 0
    for batch in Feed(dataset, "valid", plan, None).epoch(0):
        positive = batch.label > 0
        scores.append(scorer.batch(batch.encoded)[positive].numpy())
        if rows < _SAMPLE:
            wanted = [at for at, _ in fields]
            ids.append(batch.encoded.ids[positive][:, wanted].numpy())
            x.append(batch.encoded.values[positive][:, wanted].numpy())
            rows += len(ids[-1])
    all_ids, all_x = np.concatenate(ids), np.concatenate(x)
    profiles = {}
    for at, (_, field) in enumerate(fields):
        known = all_ids[:, at] != field.unknown_id
        profiles[field.name] = (
            number_profile(all_x[known, at]) if field.x_column else id_profile(all_ids[known, at].astype(np.int64))
        )
    return {"scores": number_profile(np.concatenate(scores)), "fields": profiles}
