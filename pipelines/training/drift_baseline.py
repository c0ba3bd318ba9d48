"""Fitting the drift baseline of a bundle on rows that were not trained on."""

import numpy as np
import torch

from afm_core.drift.baseline import DriftBaseline, IdBins, NumberBins
from afm_core.features import Derived, Numeric
from afm_core.inference.scorer import Scorer
from pipelines.dataset import Dataset
from pipelines.feeding.feed import Feed
from pipelines.feeding.shard_plan import ShardPlan

_BATCH_ROWS = 1024
_SAMPLE = 1_000_000
"""Number of rows whose fields are sampled; the rows of a dataset are in random order."""
_UNCOUNTED = Numeric | Derived
"""Kinds of fields whose values the feature table does not count."""


def fit_drift_baseline(scorer: Scorer, dataset: Dataset) -> DriftBaseline:
    """The distributions of the logged rows of the validation split: their scores, and the fields that are not counted.

    Where negatives were drawn, the logged rows are the positives. Missing values are left out. Cost: one pass over the
    split; memory for one number per row and the fields of a million rows.
    """
    columns = dataset.feature_map.column_fields
    uncounted = [(column, field) for column, field in enumerate(columns) if isinstance(field.declared, _UNCOUNTED)]
    wanted = [column for column, _ in uncounted]
    plan = ShardPlan(dataset.manifest.splits["valid"].rows, dataset.manifest.rows_per_file, _BATCH_ROWS, 0, 1)
    scores, ids, x, sampled = [], [], [], 0
    for batch in Feed(dataset, "valid", plan, None).epoch(0):
        logged = batch.label > 0 if dataset.manifest.negatives_found else torch.ones_like(batch.label, dtype=torch.bool)
        scores.append(scorer.batch(batch.encoded)[logged].numpy())
        if sampled < _SAMPLE:
            ids.append(batch.encoded.ids[logged][:, wanted].numpy())
            x.append(batch.encoded.values[logged][:, wanted].numpy())
            sampled += len(ids[-1])
    all_ids, all_x = np.concatenate(ids), np.concatenate(x)
    fields: dict[str, NumberBins | IdBins] = {}
    for position, (_, field) in enumerate(uncounted):
        known = all_ids[:, position] != field.unknown_id
        if field.x_column:
            fields[field.name] = NumberBins.fit(all_x[known, position])
        else:
            fields[field.name] = IdBins.fit(all_ids[known, position].astype(np.int64))
    return DriftBaseline(scores=NumberBins.fit(np.concatenate(scores)), fields=fields)
