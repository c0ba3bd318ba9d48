"""Single rows as the paper's micro-level analysis shows them (section 4.4): pairs under FM and under AFM."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import torch

from afm_core.bundle import Bundle
from afm_core.inference.explanations import explain
from afm_core.kernels import pair_indices
from afm_core.kernels.reference import interactions
from afm_core.models import AFM, FM, EncodedBatch
from pipelines.evaluation.report.sample import Sample

_ROWS, _PAIRS = 3, 5


@dataclass(frozen=True)
class Pair:
    """One pair of a row's features."""

    left: str
    right: str
    weight: float
    """a_ij, of weights that sum to 1 in a row."""
    contribution: float
    """What the pair adds to AFM's output."""
    of_fm: float | None
    """What it adds to the output of the FM that the AFM started from; None without one."""


@dataclass(frozen=True)
class Example:
    """One row."""

    label: float
    score: float
    pairs: list[Pair]


def examples(sample: Sample, bundle: Bundle, start: Bundle | None, values: pa.Array) -> list[Example]:
    """Three positives with their five most weighted pairs; none where the model is not an AFM.

    Args:
        start: the bundle that the model started from.
        values: (n_ids,) the value of every id.
    """
    model = bundle.model
    if type(model) is not AFM:
        return []
    chosen = np.flatnonzero(sample.label > 0)[:_ROWS]
    batch = EncodedBatch(*(tensor[torch.from_numpy(chosen)] for tensor in sample.batch))
    explained, scores, of_fm = explain(model, batch, _PAIRS), bundle.scorer.batch(batch), _of_fm(start, batch)
    fields, pairs = bundle.feature_map.column_fields, pair_indices(batch.ids.shape[1])
    n_present = batch.mask.sum(dim=1)
    sums = n_present * (n_present - 1) / 2 if model.weights_sum_to_pairs else torch.ones(len(chosen))

    def feature(row: int, column: int) -> str:
        field, value = fields[column], values[int(batch.ids[row, column])].as_py()
        if value is None:
            return f"{field.name} unknown"
        return (
            f"{field.name}, x = {batch.values[row, column]:.3g}"
            if field.x_column and field.size == 1
            else f"{field.name} = {value}"
        )

    def pair(row: int, at: int) -> Pair:
        number = int(explained.pair[row, at])
        left, right = pairs[number]
        weight, contribution = float(explained.weight[row, at] / sums[row]), float(explained.contribution[row, at])
        fm = None if of_fm is None else float(of_fm[row, number])
        return Pair(feature(row, left), feature(row, right), weight, contribution, fm)

    return [
        Example(
            float(sample.label[chosen[row]]),
            float(scores[row]),
            [pair(row, at) for at in range(explained.pair.shape[1]) if explained.present[row, at]],
        )
        for row in range(len(chosen))
    ]


@torch.inference_mode()
def _of_fm(start: Bundle | None, batch: EncodedBatch) -> torch.Tensor | None:
    if start is None or not isinstance(start.model, FM):
        return None
    return interactions(start.model.factors.terms(batch)).sum(dim=2)
