"""The best items for a user in a context, out of many, without running the model once a pair.

The rows of one query differ in the item alone. FM's output is then linear in the item's vector. AFM's is a softmax over
the pairs: those among the other fields are the query's own, and a pair with the item depends on the item and one other
feature only, so that its a' = h^T ReLU(W (v_i * v_j) + b) and its p^T (v_i * v_j) are computed once for each value that
a field takes, not once a row. Other models are run on every pair.

What is found in this way is scored again by the model itself, so that outputs and order are those of running it on all.
"""

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional

from afm_core.kernels.reference import interactions
from afm_core.models import AFM, FM, AnyModel, EncodedBatch

_QUERIES = 64  # 64 x 9 fields x 4,082 items of one float are 9 MB
_ROWS = 4096
_SPARE = 16  # more than are asked for, scored again, because sums in another order are off by a rounding error
_REMEMBERED = 4096  # features whose pairs with all items are kept


class TopItemFinder:
    """Finds the best of a list of items for queries, rows of ids in which the item is still open."""

    def __init__(self, model: AnyModel, slot: int, items: Tensor) -> None:
        """Keep what does not depend on the query.

        Args:
            slot: the column of the item.
            items: (N,) int64 ids, distinct.
        """
        self._model, self._slot, self._items = model.eval(), slot, items
        self._pairs = _AfmPairs(model, items) if type(model) is AFM and model.attention else None

    @torch.inference_mode()
    def best(self, queries: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """The k best items of each query by the model's output, the best first, ties by place in the list.

        Args:
            queries: (Q, F) int64 ids whose x_i are all 1; what stands in the item's column does not matter.

        Returns:
            places in the list of items, (Q, k) int64, and outputs, (Q, k) float32; k is at most N.
        """
        k = min(k, len(self._items))
        starts = range(0, len(queries), _QUERIES)
        found = [self._best_of_block(queries[start : start + _QUERIES], k) for start in starts]
        places, outputs = (torch.cat(parts) for parts in zip(*found, strict=True))
        return places, outputs

    def _best_of_block(self, queries: Tensor, k: int) -> tuple[Tensor, Tensor]:
        outputs_QN = self._outputs(queries)
        if outputs_QN is None:
            outputs_QN = self._run(queries, torch.arange(len(self._items)).expand(len(queries), -1))
            return _first(outputs_QN, torch.arange(len(self._items)).expand_as(outputs_QN), k)
        near = outputs_QN.topk(min(k + _SPARE, len(self._items)), dim=1).indices
        return _first(self._run(queries, near), near, k)

    def _run(self, queries: Tensor, places: Tensor) -> Tensor:
        """The model on each query with each of its items (Q, C): (Q, C) outputs."""
        rows = queries.repeat_interleave(places.shape[1], dim=0)
        rows[:, self._slot] = self._items[places].reshape(-1)
        parts = (rows[start : start + _ROWS] for start in range(0, len(rows), _ROWS))
        outputs = [self._model(EncodedBatch.of_ids(part)).float() for part in parts]
        return torch.cat(outputs).reshape(places.shape)

    def _outputs(self, queries: Tensor) -> Tensor | None:
        """Outputs of all items (Q, N) but for rounding; None where the model has no such form."""
        model, others = self._model, [at for at in range(queries.shape[1]) if at != self._slot]
        if self._pairs:
            return self._pairs.outputs(queries[:, others])
        if type(model) is FM:
            vector_QK = model.factors.embedding(queries[:, others]).sum(dim=1)
            linear_N = model.factors.linear(self._items).squeeze(-1)
            # What the pairs among the other fields and the bias add is the same for all items of a query.
            outputs_QN: Tensor = vector_QK @ model.factors.embedding(self._items).T + linear_N
            return outputs_QN
        return None


def _first(outputs: Tensor, places: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k greatest outputs, ties by the smaller place."""
    by_place = places.argsort(dim=1)
    places, outputs = places.gather(1, by_place), outputs.gather(1, by_place)
    best = outputs.argsort(dim=1, descending=True, stable=True)[:, :k]
    return places.gather(1, best), outputs.gather(1, best)


class _AfmPairs:
    """AFM's pairs of an item with another feature: logits a' and contributions p^T (v_i * v_j), (N,) each."""

    def __init__(self, model: AFM, items: Tensor) -> None:
        self._model = model
        self._vectors_NK = model.factors.embedding(items).detach()
        self._linear_N = model.factors.linear(items).squeeze(-1).detach()
        self._known: dict[int, tuple[Tensor, Tensor]] = {}

    def outputs(self, others: Tensor) -> Tensor:
        """(Q, F-1) ids of the other fields to (Q, N) outputs, the same constant a query left out."""
        model = self._model
        ids, where = torch.unique(others, return_inverse=True)
        logits_UN, contributions_UN = (torch.stack(tables) for tables in zip(*self._tables(ids), strict=True))
        own = interactions(model.factors.embedding(others))
        own_logits_QP = functional.relu(functional.linear(own, model.W, model.b)) @ (model.h / model.temperature)
        own_contributions_QP = own @ model.p
        rows = []
        for at in range(len(others)):
            logits_FN, contributions_FN = logits_UN[where[at]], contributions_UN[where[at]]
            own_logits_P = own_logits_QP[at]
            greatest = max(float(own_logits_P.max()) if own_logits_P.numel() else -torch.inf, float(logits_FN.max()))
            weights_FN, own_weights_P = torch.exp(logits_FN - greatest), torch.exp(own_logits_P - greatest)
            above = (weights_FN * contributions_FN).sum(dim=0) + own_weights_P @ own_contributions_QP[at]
            rows.append(above / (weights_FN.sum(dim=0) + own_weights_P.sum()) + self._linear_N)
        return torch.stack(rows)

    def _tables(self, ids: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        if len(self._known) > _REMEMBERED:
            self._known.clear()
        for feature in ids.tolist():
            if feature not in self._known:
                self._known[feature] = self._table(feature)
            yield self._known[feature]

    def _table(self, feature: int) -> tuple[Tensor, Tensor]:
        """W (v_i * v_j) = (W diag(v_j)) v_i: one product of all items with one small matrix."""
        model = self._model
        vector_K = model.factors.embedding(torch.tensor(feature))
        hidden = torch.addmm(model.b, self._vectors_NK, (model.W * vector_K).T)
        return functional.relu(hidden) @ (model.h / model.temperature), self._vectors_NK @ (model.p * vector_K)
