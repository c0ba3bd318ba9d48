"""AFM's outputs for many rows, with most of the attention looked up instead of computed.

Where x_i = x_j = 1, a pair's a'_ij = h^T ReLU(W (v_i * v_j) + b) and p^T (v_i * v_j) depend on its two features alone.
Two columns that take few values between them are worth a table of both numbers for all their features: a row then reads
8 bytes for that pair, whatever k and t are. A table is made once a pair has been computed for as many rows as the table
has entries, so that nobody who scores few rows waits for it, and nobody who scores many pays more than twice.

Whether a pair is looked up or computed does not change a bit of a row's output where batches have `ROWS_AT_ONCE` rows:
the same products are then rounded in the same way, and the pairs are added up in the same order.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from afm_core.features import FeatureMap, FieldIds
from afm_core.features.feature_map import PADDING_ID
from afm_core.kernels import pair_indices
from afm_core.models import AFM, AnyModel, EncodedBatch

ROWS_AT_ONCE = 1024
"""Rows of a batch, and entries of a table that are computed together: 45 pairs x 256 floats of them are 47 MB."""
_ENTRIES = 1 << 23  # of all tables together: 64 MiB
# Nanoseconds a row, as measured on one core with AVX-512: of a pair, and of each of the k t products of one.
_LOOKED_UP, _COMPUTED, _PRODUCT = 6.0, 50.0, 0.02
_IN_FORWARD, _PRODUCT_IN_FORWARD = 4.5, 0.01


class PairTables:
    """The tables of one model and feature map, which grow with the rows that they have seen."""

    def __init__(self, model: AFM, feature_map: FeatureMap) -> None:
        """Begin without tables. Neither the model nor the map may change afterwards."""
        self._model, self._slots = model.eval(), feature_map.slots
        self._W, self._h = self._factor(model.W.detach()), (model.h / model.temperature).detach()
        self._places = _places(feature_map)
        order, entries = _pairs_by_entries(feature_map)
        self._pairs = np.array(pair_indices(len(self._slots)))[order]
        self._left, self._right = torch.from_numpy(self._pairs).unbind(dim=1)
        self._width_P1 = torch.tensor([_size(self._slots[j]) for j in self._right], dtype=torch.int32).unsqueeze(1)
        self._entries = _kept(entries)
        self._first_P1 = torch.from_numpy(self._entries.cumsum() - self._entries).int().unsqueeze(1)
        self._table = torch.empty(0, dtype=torch.float64)  # the two float32 of an entry, in one read
        self._rows = 0
        self.n_tables = 0
        """Of how many pairs there is one by now."""

    @classmethod
    def of(cls, model: AnyModel, feature_map: FeatureMap) -> "PairTables | None":
        """Those of a model; None where it is no AFM with attention, or its own forward is the faster."""
        if type(model) is not AFM or not model.attention:
            return None
        _, entries = _pairs_by_entries(feature_map)
        looked_up, pairs, products = len(_kept(entries)), len(entries), model.W.numel()
        ours = looked_up * _LOOKED_UP + (pairs - looked_up) * (_COMPUTED + products * _PRODUCT)
        return cls(model, feature_map) if ours < pairs * (_IN_FORWARD + products * _PRODUCT_IN_FORWARD) else None

    @torch.inference_mode()
    def outputs(self, batch: EncodedBatch) -> Tensor:
        """The model's outputs, (B,) float32."""
        self._grow()
        self._rows += len(batch.ids)
        read, computed = self._look_up(batch), self._compute(batch)
        logits_PB, contributions_PB = (torch.cat(parts) for parts in zip(read, computed, strict=True))
        greatest_B = logits_PB.amax(dim=0).clamp_min(torch.finfo(torch.float32).min)
        weights_PB = (logits_PB - greatest_B).exp_()
        total_B = weights_PB.sum(dim=0).clamp_min(1.0)  # the greatest weighs 1; less, and the row has no pair
        pooled_B = (weights_PB * contributions_PB).sum(dim=0) / total_B
        return self._model.factors.first_order(batch) + pooled_B

    def _look_up(self, batch: EncodedBatch) -> tuple[Tensor, Tensor]:
        """a' and p^T (v_i * v_j) of the pairs that have a table, (P, B) each."""
        n, columns = self.n_tables, batch.ids.shape[1]
        places_FB = self._places.index_select(0, batch.ids.T.flatten()).view(columns, -1)
        left_PB, right_PB = (places_FB.index_select(0, side[:n]) for side in (self._left, self._right))
        at_PB = left_PB.mul_(self._width_P1[:n]).add_(right_PB).add_(self._first_P1[:n])
        found = self._table.index_select(0, at_PB.flatten()).view(torch.float32).view(*at_PB.shape, 2)
        return found[:, :, 0], found[:, :, 1]

    def _compute(self, batch: EncodedBatch) -> tuple[Tensor, Tensor]:
        """The same of all other pairs."""
        pairs = self._pairs[self.n_tables :].tolist()
        gate, embedding = batch.values * batch.mask, self._model.factors.embedding
        terms = {at: embedding(batch.ids[:, at]) * gate[:, at : at + 1] for at in {at for pair in pairs for at in pair}}
        found = torch.empty(2, len(pairs), len(batch.ids))
        for at, (i, j) in enumerate(pairs):
            found[0, at], found[1, at] = self._attend(terms[i] * terms[j])
            found[0, at].masked_fill_(~(batch.mask[:, i] & batch.mask[:, j]), -torch.inf)
        return found[0], found[1]

    def _attend(self, interactions_BK: Tensor) -> tuple[Tensor, Tensor]:
        model = self._model
        active_BT = functional.relu(functional.linear(self._factor(interactions_BK), self._W, model.b), inplace=True)
        return active_BT @ self._h, interactions_BK @ model.p

    def _factor(self, tensor: Tensor) -> Tensor:
        """As the products of the model's own precision take it."""
        return tensor.bfloat16().float() if self._model.precision == "bfloat16" else tensor

    def _grow(self) -> None:
        """Make the tables of the pairs that have been computed for as many rows as theirs have entries."""
        due = int(np.searchsorted(self._entries, self._rows, side="right"))
        if due > self.n_tables:
            made = [self._made(*self._pairs[at]) for at in range(self.n_tables, due)]
            self._table, self.n_tables = torch.cat([self._table, *made]), due

    def _made(self, left: int, right: int) -> Tensor:
        """The table of two columns, (L R,). Where one is padding a' is -inf: the pair weighs nothing."""
        embedding = self._model.factors.embedding
        of_left, of_right = (_features(self._slots[side]) for side in (left, right))
        size = len(of_left) * len(of_right)
        table = torch.empty(size, 2)
        for start in range(0, size, ROWS_AT_ONCE):
            at = torch.arange(start, start + ROWS_AT_ONCE).clamp_max_(size - 1)
            i, j = of_left[at // len(of_right)], of_right[at % len(of_right)]
            logits, contributions = self._attend(embedding(i) * embedding(j))
            logits.masked_fill_((i == PADDING_ID) | (j == PADDING_ID), -torch.inf)
            rows = table[start : start + ROWS_AT_ONCE]
            rows[:, 0], rows[:, 1] = logits[: len(rows)], contributions[: len(rows)]
        return table.view(torch.float64).squeeze(1)


def _pairs_by_entries(feature_map: FeatureMap) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The pairs of columns by the size of their tables, the smallest first, and these sizes; never where x_i varies."""
    left, right = np.array(pair_indices(len(feature_map.slots))).reshape(-1, 2).T
    sizes = np.array(list(map(_size, feature_map.slots)), dtype=np.int64)
    varies = np.array(feature_map.value_index) >= 0
    entries = np.where(varies[left] | varies[right], _ENTRIES + 1, sizes[left] * sizes[right])
    order = np.argsort(entries, kind="stable")
    return order, entries[order]


def _kept(entries: NDArray[np.int64]) -> NDArray[np.int64]:
    return entries[entries.cumsum() <= _ENTRIES]


def _size(ids: FieldIds) -> int:
    return 2 + ids.size


def _features(ids: FieldIds) -> Tensor:
    """The `_size` ids that a column may hold, int64, in the order of its tables."""
    own = torch.from_numpy(ids.ids(np.arange(ids.size))).long()
    return torch.cat([torch.tensor([PADDING_ID, ids.unknown_id]), own])


def _places(feature_map: FeatureMap) -> Tensor:
    """(n_ids,) int32: where each id stands among the `_features` of its field."""
    places = torch.zeros(feature_map.n_ids, dtype=torch.int32)
    for field in feature_map.fields:
        places[_features(field)] = torch.arange(_size(field), dtype=torch.int32)
    return places
