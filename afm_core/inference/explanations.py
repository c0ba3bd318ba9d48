"""What a trained AFM attends to: on average over a dataset, and in single rows."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from afm_core.kernels import pair_indices
from afm_core.kernels.reference import interactions
from afm_core.models import AFM, EncodedBatch, n_pairs


@dataclass(frozen=True)
class PairAttention:
    """How much the model attends to one pair of fields."""

    fields: tuple[str, str]
    mean_weight: float
    """Mean of a_ij over the rows that have both fields. The weights of a row sum to 1."""


@torch.inference_mode()
def mean_attention(model: AFM, batches: Iterable[EncodedBatch], names: tuple[str, ...]) -> list[PairAttention]:
    """Mean attention weight of each pair of fields over all rows, the most attended first.

    Uniform attention would give every pair 1 / number of pairs.

    Args:
        names: (F,) the field name of each column of a batch. For a field with several columns (tags) the weights of
            its columns' pairs are added up; pairs among its own columns are left out.
    """
    model.eval()
    fields = tuple(dict.fromkeys(names))
    all_pairs = pair_indices(len(names))
    used = [index for index, (i, j) in enumerate(all_pairs) if names[i] != names[j]]
    column_pairs = [all_pairs[index] for index in used]
    field_pairs = pair_indices(len(fields))
    field_pair_index = {pair: index for index, pair in enumerate(field_pairs)}
    field_index = {name: index for index, name in enumerate(fields)}
    target = torch.tensor([field_pair_index[field_index[names[i]], field_index[names[j]]] for i, j in column_pairs])
    left, right = (torch.tensor(side) for side in zip(*column_pairs, strict=True))
    total = torch.zeros(len(field_pairs), dtype=torch.float64)
    rows = torch.zeros(len(field_pairs), dtype=torch.float64)
    for batch in batches:
        _, weights = model.attend(batch)
        assert weights is not None
        total.index_add_(0, target, weights[:, used].sum(dim=0, dtype=torch.float64))
        both = (batch.mask[:, left] & batch.mask[:, right]).float()
        per_field_pair = torch.zeros(len(both), len(field_pairs)).index_add_(1, target, both)
        rows += (per_field_pair > 0).sum(dim=0, dtype=torch.float64)
    means = (total / rows.clamp(min=1)).tolist()
    attention = [PairAttention((fields[i], fields[j]), mean) for (i, j), mean in zip(field_pairs, means, strict=True)]
    return sorted(attention, key=lambda pair: -pair.mean_weight)


class Explanation(NamedTuple):
    """The parts of each row's output, which is `first_order` plus the contributions of all its pairs."""

    first_order: Tensor
    """(B,) w_0 + sum w_i x_i."""
    pair: Tensor
    """(B, K) int64, positions in `pair_indices`, greatest weight first."""
    weight: Tensor
    """(B, K) a_ij."""
    contribution: Tensor
    """(B, K) a_ij p^T (v_i * v_j) x_i x_j."""
    present: Tensor
    """(B, K) bool, False for pairs with padding; they come last."""


@torch.inference_mode()
def explain(model: AFM, batch: EncodedBatch, k: int) -> Explanation:
    """The k interactions with the greatest weights of each row, or all if there are fewer.

    Memory: B x pairs x embedding size floats, so batches should be small.
    """
    model.eval()
    pairs = pair_indices(batch.ids.shape[1])
    left, right = (torch.tensor(side) for side in zip(*pairs, strict=True))
    both = batch.mask[:, left] & batch.mask[:, right]
    weight_BP = model.attend(batch)[1] if model.attention else both.float()
    assert weight_BP is not None
    if model.weights_sum_to_pairs:
        weight_BP = weight_BP * n_pairs(batch.mask).unsqueeze(1)
    contribution_BP = weight_BP * (interactions(model.factors.terms(batch)) @ model.p)
    order = torch.where(both, weight_BP, -1.0).argsort(dim=1, descending=True, stable=True)[:, :k]
    return Explanation(
        model.factors.first_order(batch),
        order,
        weight_BP.gather(1, order),
        contribution_BP.gather(1, order),
        both.gather(1, order),
    )
