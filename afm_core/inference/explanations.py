"""What a trained AFM attends to, as numbers a person can use."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from afm_core.kernels import pair_indices
from afm_core.kernels.reference import interactions
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

    Args:
        names: of the field of each column of a batch. A field with several columns, tags, has the sum of the weights
            of their pairs, those among its own tags left out.
    """
    model.eval()
    fields = tuple(dict.fromkeys(names))
    columns = [(i, j) for i, j in pair_indices(len(names)) if names[i] != names[j]]
    at = [position for position, (i, j) in enumerate(pair_indices(len(names))) if names[i] != names[j]]
    pairs = pair_indices(len(fields))
    number = {pair: position for position, pair in enumerate(pairs)}
    place = {name: position for position, name in enumerate(fields)}
    of_column = torch.tensor([number[place[names[i]], place[names[j]]] for i, j in columns])
    left, right = (torch.tensor(side) for side in zip(*columns, strict=True))
    total = torch.zeros(len(pairs), dtype=torch.float64)
    rows = torch.zeros(len(pairs), dtype=torch.float64)
    for batch in batches:
        _, weights = model.attend(batch)
        assert weights is not None
        total.index_add_(0, of_column, weights[:, at].sum(dim=0, dtype=torch.float64))
        both = (batch.mask[:, left] & batch.mask[:, right]).float()
        per_pair = torch.zeros(len(both), len(pairs)).index_add_(1, of_column, both)
        rows += (per_pair > 0).sum(dim=0, dtype=torch.float64)
    means = (total / rows.clamp(min=1)).tolist()
    found = [PairAttention((fields[i], fields[j]), mean) for (i, j), mean in zip(pairs, means, strict=True)]
    return sorted(found, key=lambda pair: -pair.mean_weight)


class Explanation(NamedTuple):
    """What the output of each row is made of: `first_order` plus the contributions of all pairs."""

    first_order: Tensor
    """(B,) w_0 + sum w_i x_i."""
    pair: Tensor
    """(B, K) int64, positions in `pair_indices`, the most weighted first."""
    weight: Tensor
    """(B, K) a_ij."""
    contribution: Tensor
    """(B, K) a_ij p^T (v_i * v_j) x_i x_j."""
    present: Tensor
    """(B, K) bool, False for pairs with padding; they come last."""


@torch.inference_mode()
def explain(model: AFM, batch: EncodedBatch, k: int) -> Explanation:
    """The k most weighted interactions of each row, or all where there are fewer.

    Memory: B x pairs x K of the embeddings, so batches should be small.
    """
    model.eval()
    pairs = pair_indices(batch.ids.shape[1])
    left, right = (torch.tensor(side) for side in zip(*pairs, strict=True))
    both = batch.mask[:, left] & batch.mask[:, right]
    weight_BP = model.attend(batch)[1] if model.attention else both.float()
    assert weight_BP is not None
    contribution_BP = weight_BP * (interactions(model.factors.terms(batch)) @ model.p)
    order = torch.where(both, weight_BP, -1.0).argsort(dim=1, descending=True, stable=True)[:, :k]
    return Explanation(
        model.factors.first_order(batch),
        order,
        weight_BP.gather(1, order),
        contribution_BP.gather(1, order),
        both.gather(1, order),
    )
