"""What a trained AFM attends to, as numbers a person can use."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch

from afm_core.kernels import pair_indices
from afm_core.models import AFM, EncodedBatch


@dataclass(frozen=True)
class PairAttention:
    """How much one pair of fields was attended to."""

    fields: tuple[str, str]
    mean_weight: float
    """Mean of a_ij over the rows that have both fields; the weights of a row sum to 1."""


@torch.inference_mode()
def mean_attention(model: AFM, batches: Iterable[EncodedBatch], names: tuple[str, ...]) -> list[PairAttention]:
    """Mean attention weight of each pair of fields over all rows, the most attended first.

    A uniform attention would give every pair 1 / number of pairs.
    """
    model.eval()
    pairs = pair_indices(len(names))
    left, right = (torch.tensor(side) for side in zip(*pairs, strict=True))
    total = torch.zeros(len(pairs), dtype=torch.float64)
    rows = torch.zeros(len(pairs), dtype=torch.float64)
    for batch in batches:
        _, weights = model.attend(batch)
        assert weights is not None
        total += weights.sum(dim=0, dtype=torch.float64)
        rows += (batch.mask[:, left] & batch.mask[:, right]).sum(dim=0, dtype=torch.float64)
    means = (total / rows.clamp(min=1)).tolist()
    found = [PairAttention((names[i], names[j]), mean) for (i, j), mean in zip(pairs, means, strict=True)]
    return sorted(found, key=lambda pair: -pair.mean_weight)
