"""AFM's outputs for many rows, with most of the attention looked up instead of computed.

Where x_i = x_j = 1, a pair's a'_ij = h^T ReLU(W (v_i * v_j) + b) and p^T (v_i * v_j) depend only on its two features.
For two columns with few distinct values a table holds both numbers for every combination of their features: a row then
reads 8 bytes for that pair, whatever k and t are. A table is filled once a pair has been computed for as many rows as
the table has entries. Scoring few rows therefore fills none, and no pair costs more than twice its computation.

Whether a pair is looked up or computed does not change a bit of a row's output where batches have `BATCH_ROWS` rows:
the same products are rounded in the same way, and the pairs are added up in the same order.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from afm_core.features import FeatureMap, FieldIds
from afm_core.features.feature_map import PADDING_ID
from afm_core.inference.pair_terms import PairTerms
from afm_core.kernels import pair_indices
from afm_core.models import AFM, AnyModel, EncodedBatch, n_pairs

BATCH_ROWS = 1024
"""Rows of a batch, and table entries that are computed together: 45 pairs x 256 floats of them are 47 MB."""
FEW_ROWS = 32
"""Rows of a smaller batch, for what is asked one row at a time. `Scorer` finds out whether it gives the same bits."""
_MAX_ENTRIES = 1 << 23  # of all tables together: 64 MiB
# Nanoseconds per row, measured on one core with AVX-512: for each pair, and for each of the k t products of a pair.
_LOOKED_UP, _COMPUTED, _PRODUCT = 6.0, 50.0, 0.02
_IN_FORWARD, _PRODUCT_IN_FORWARD = 4.5, 0.01


class PairTables:
    """The tables of one model and feature map. Tables are added as more rows are scored."""

    def __init__(self, model: AFM, feature_map: FeatureMap) -> None:
        """Start without tables. Neither the model nor the map may change afterwards."""
        self._model, self._fields = model.eval(), feature_map.column_fields
        self._terms = PairTerms(model, model.precision)
        self._positions = _positions(feature_map)
        order, entries = _pairs_by_entries(feature_map)
        self._pairs = np.array(pair_indices(len(self._fields)))[order]
        self._left, self._right = torch.from_numpy(self._pairs).unbind(dim=1)
        self._width_P1 = torch.tensor([_size(self._fields[j]) for j in self._right], dtype=torch.int32).unsqueeze(1)
        self._entries = _affordable(entries)
        self._first_P1 = torch.from_numpy(self._entries.cumsum() - self._entries).int().unsqueeze(1)
        self._table = torch.empty(0, dtype=torch.float64)  # the two float32 of an entry, in one read
        self._rows = 0
        self.n_tables = 0
        """Number of pairs that have a table so far."""

    @classmethod
    def of(cls, model: AnyModel, feature_map: FeatureMap) -> "PairTables | None":
        """Tables for a model; None if it is not an AFM with attention, or if its own forward is faster."""
        if type(model) is not AFM or not model.attention:
            return None
        _, entries = _pairs_by_entries(feature_map)
        looked_up, pairs, products = len(_affordable(entries)), len(entries), model.W.numel()
        with_tables = looked_up * _LOOKED_UP + (pairs - looked_up) * (_COMPUTED + products * _PRODUCT)
        in_forward = pairs * (_IN_FORWARD + products * _PRODUCT_IN_FORWARD)
        return cls(model, feature_map) if with_tables < in_forward else None

    @torch.inference_mode()
    def outputs(self, batch: EncodedBatch) -> Tensor:
        """The model's outputs, (B,) float32."""
        self._add_tables()
        self._rows += len(batch.ids)
        looked_up, computed = self._look_up(batch), self._compute(batch)
        logits_PB, contributions_PB = (torch.cat(parts) for parts in zip(looked_up, computed, strict=True))
        greatest_B = logits_PB.amax(dim=0).clamp_min(torch.finfo(torch.float32).min)
        weights_PB = (logits_PB - greatest_B).exp_()
        total_B = weights_PB.sum(dim=0).clamp_min(
            1.0
        )  # the greatest weight is 1; a row without any pair has a sum of 0
        pooled_B = (weights_PB * contributions_PB).sum(dim=0) / total_B
        if self._model.weights_sum_to_pairs:
            pooled_B *= n_pairs(batch.mask)
        return self._model.factors.first_order(batch) + pooled_B

    def _look_up(self, batch: EncodedBatch) -> tuple[Tensor, Tensor]:
        """Logits a' and contributions p^T (v_i * v_j) of the pairs that have a table, (P, B) each."""
        n, columns = self.n_tables, batch.ids.shape[1]
        positions_FB = self._positions.index_select(0, batch.ids.T.flatten()).view(columns, -1)
        left_PB, right_PB = (positions_FB.index_select(0, side[:n]) for side in (self._left, self._right))
        entry_PB = left_PB.mul_(self._width_P1[:n]).add_(right_PB).add_(self._first_P1[:n])
        terms = self._table.index_select(0, entry_PB.flatten()).view(torch.float32).view(*entry_PB.shape, 2)
        return terms[:, :, 0], terms[:, :, 1]

    def _compute(self, batch: EncodedBatch) -> tuple[Tensor, Tensor]:
        """The same for all other pairs."""
        if len(batch.ids) <= FEW_ROWS:
            return self._compute_together(batch)
        pairs = self._pairs[self.n_tables :].tolist()
        gate, embedding = batch.values * batch.mask, self._model.factors.embedding
        columns = {column for pair in pairs for column in pair}
        vectors = {column: embedding(batch.ids[:, column]) * gate[:, column : column + 1] for column in columns}
        logits_PB, contributions_PB = torch.empty(2, len(pairs), len(batch.ids))
        for position, (i, j) in enumerate(pairs):
            logits_PB[position], contributions_PB[position] = self._terms.of(vectors[i] * vectors[j])
            logits_PB[position].masked_fill_(~(batch.mask[:, i] & batch.mask[:, j]), -torch.inf)
        return logits_PB, contributions_PB

    def _compute_together(self, batch: EncodedBatch) -> tuple[Tensor, Tensor]:
        """All pairs in one product: with few rows, a product for each would take longer to call than to compute."""
        left, right = self._left[self.n_tables :], self._right[self.n_tables :]
        gated_BFk = self._model.factors.embedding(batch.ids) * (batch.values * batch.mask).unsqueeze(2)
        vectors_FBk, mask_FB = gated_BFk.transpose(0, 1).contiguous(), batch.mask.T
        logits_PB, contributions_PB = self._terms.of(vectors_FBk[left] * vectors_FBk[right])
        logits_PB.masked_fill_(~(mask_FB[left] & mask_FB[right]), -torch.inf)
        return logits_PB, contributions_PB

    def _add_tables(self) -> None:
        """Fill the tables of the pairs that have been computed for as many rows as their tables have entries."""
        due = int(np.searchsorted(self._entries, self._rows, side="right"))
        if due > self.n_tables:
            new = [self._filled(*pair) for pair in self._pairs[self.n_tables : due]]
            self._table, self.n_tables = torch.cat([self._table, *new]), due

    def _filled(self, left: int, right: int) -> Tensor:
        """The table of two columns, (L R,). Where either side is padding, a' is -inf and the pair has no weight."""
        embedding = self._model.factors.embedding
        left_ids, right_ids = (_features(self._fields[side]) for side in (left, right))
        size = len(left_ids) * len(right_ids)
        table = torch.empty(size, 2)
        for start in range(0, size, BATCH_ROWS):
            entries = torch.arange(start, start + BATCH_ROWS).clamp_max_(size - 1)
            i, j = left_ids[entries // len(right_ids)], right_ids[entries % len(right_ids)]
            logits, contributions = self._terms.of(embedding(i) * embedding(j))
            logits.masked_fill_((i == PADDING_ID) | (j == PADDING_ID), -torch.inf)
            rows = table[start : start + BATCH_ROWS]
            rows[:, 0], rows[:, 1] = logits[: len(rows)], contributions[: len(rows)]
        return table.view(torch.float64).squeeze(1)


def _pairs_by_entries(feature_map: FeatureMap) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The pairs of columns by the size of their tables, smallest first, and these sizes.

    A pair with a column whose x_i varies gets a size that no table may have.
    """
    left, right = np.array(pair_indices(len(feature_map.column_fields))).reshape(-1, 2).T
    sizes = np.array(list(map(_size, feature_map.column_fields)), dtype=np.int64)
    varies = np.array(feature_map.value_index) >= 0
    entries = np.where(varies[left] | varies[right], _MAX_ENTRIES + 1, sizes[left] * sizes[right])
    order = np.argsort(entries, kind="stable")
    return order, entries[order]


def _affordable(entries: NDArray[np.int64]) -> NDArray[np.int64]:
    """The sizes, smallest first, of the tables that fit into memory together."""
    return entries[entries.cumsum() <= _MAX_ENTRIES]


def _size(field: FieldIds) -> int:
    return 2 + field.size


def _features(field: FieldIds) -> Tensor:
    """The `_size` ids that a column may hold, int64, in the order of the table: padding, unknown, features."""
    own = torch.from_numpy(field.ids(np.arange(field.size))).long()
    return torch.cat([torch.tensor([PADDING_ID, field.unknown_id]), own])


def _positions(feature_map: FeatureMap) -> Tensor:
    """(n_ids,) int32: the position of each id among the `_features` of its field."""
    positions = torch.zeros(feature_map.n_ids, dtype=torch.int32)
    for field in feature_map.fields:
        positions[_features(field)] = torch.arange(_size(field), dtype=torch.int32)
    return positions
