"""The best items for a user in a context, out of many, without running the model on every pair of query and item.

The rows of one query differ only in the item. FM's output is then linear in the item's vector. AFM's is a softmax over
pairs: those among the other fields belong to the query, and a pair with the item depends only on the item and one other
feature, so its a' = h^T ReLU(W (v_i * v_j) + b) and p^T (v_i * v_j) are computed once for each value that a field
takes, not once per row. Other models are run on every pair.

The best items by these fast outputs, and a few more, are scored again by the model itself, so that outputs and order
are those of running it on all items.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from afm_core.inference.pair_terms import PairTerms
from afm_core.kernels.reference import interactions
from afm_core.kernels.subnormals import subnormals_as_zeros
from afm_core.models import AFM, FM, AnyModel, EncodedBatch

_BLOCK_QUERIES = 64  # 64 x 9 fields x 4,082 items of one float are 9 MB
_BATCH_ROWS = 4096
_SPARE_ITEMS = 16  # scored again besides the k best: fast outputs differ from the model's by rounding errors
_MAX_CACHED_FEATURES = 4096  # features whose pairs with all items are kept


class TopItemFinder:
    """Finds the best of a list of items for each query: a row of ids in which the item is not yet filled in."""

    def __init__(self, model: AnyModel, item_column: int, items: Tensor) -> None:
        """Compute what does not depend on the query.

        Args:
            item_column: the column of the item in a batch.
            items: (N,) int64 ids, distinct.
        """
        self._model, self._item_column, self._items = model.eval(), item_column, items
        self._item_pairs = _ItemPairs(model, items) if type(model) is AFM and model.attention else None

    @subnormals_as_zeros()
    @torch.inference_mode()
    def best(self, queries: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """The k best items of each query by the model's output, best first, ties by position in the list.

        Args:
            queries: (Q, F) int64 ids, all with x_i = 1; the item's column may hold anything.

        Returns:
            positions in the list of items, (Q, k) int64, and outputs, (Q, k) float32; k is at most N.
        """
        k = min(k, len(self._items))
        starts = range(0, len(queries), _BLOCK_QUERIES)
        blocks = [self._best_of_block(queries[start : start + _BLOCK_QUERIES], k) for start in starts]
        positions, outputs = (torch.cat(parts) for parts in zip(*blocks, strict=True))
        return positions, outputs

    def _best_of_block(self, queries: Tensor, k: int) -> tuple[Tensor, Tensor]:
        fast_outputs_QN = self._fast_outputs(queries)
        if fast_outputs_QN is None:
            candidates = torch.arange(len(self._items)).expand(len(queries), -1)
        else:
            candidates = fast_outputs_QN.topk(min(k + _SPARE_ITEMS, len(self._items)), dim=1).indices
        return _first(self._outputs(queries, candidates), candidates, k)

    def _outputs(self, queries: Tensor, candidates: Tensor) -> Tensor:
        """The model's outputs, (Q, C), for each query with each of its candidates, positions (Q, C)."""
        rows = queries.repeat_interleave(candidates.shape[1], dim=0)
        rows[:, self._item_column] = self._items[candidates].reshape(-1)
        batches = (rows[start : start + _BATCH_ROWS] for start in range(0, len(rows), _BATCH_ROWS))
        outputs = [self._model(EncodedBatch.of_ids(batch)).float() for batch in batches]
        return torch.cat(outputs).reshape(candidates.shape)

    def _fast_outputs(self, queries: Tensor) -> Tensor | None:
        """Outputs of all items, (Q, N), up to rounding and a constant per query; None for models without this form."""
        model = self._model
        other_columns = [column for column in range(queries.shape[1]) if column != self._item_column]
        if self._item_pairs:
            return self._item_pairs.outputs(queries[:, other_columns])
        if type(model) is FM:
            vector_QK = model.factors.embedding(queries[:, other_columns]).sum(dim=1)
            linear_N = model.factors.linear(self._items).squeeze(-1)
            # The pairs among the other fields and the bias add the same to all items of a query.
            outputs_QN: Tensor = vector_QK @ model.factors.embedding(self._items).T + linear_N
            return outputs_QN
        return None


def _first(outputs: Tensor, positions: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k greatest outputs with their positions, ties by the smaller position."""
    by_position = positions.argsort(dim=1)
    positions, outputs = positions.gather(1, by_position), outputs.gather(1, by_position)
    best = outputs.argsort(dim=1, descending=True, stable=True)[:, :k]
    return positions.gather(1, best), outputs.gather(1, best)


class _ItemPairs:
    """AFM's pairs of every item with another feature: logits a' and contributions p^T (v_i * v_j), (N,) each."""

    def __init__(self, model: AFM, items: Tensor) -> None:
        self._embedding, self._terms = model.factors.embedding, PairTerms(model)
        self._vectors_NK = model.factors.embedding(items).detach()
        self._linear_N = model.factors.linear(items).squeeze(-1).detach()
        self._sums_to_pairs = model.weights_sum_to_pairs
        self._cache: dict[int, tuple[Tensor, Tensor]] = {}

    def outputs(self, others: Tensor) -> Tensor:
        """(Q, F-1) ids of the other fields to (Q, N) outputs, without what is the same for all items of a query."""
        ids, index = torch.unique(others, return_inverse=True)
        logits_UN, contributions_UN = (torch.stack(terms) for terms in zip(*self._item_terms(ids), strict=True))
        own_logits_QP, own_contributions_QP = self._terms.of(interactions(self._embedding(others)))
        n_pairs = len(own_logits_QP[0]) + others.shape[1] if self._sums_to_pairs else 1
        rows = []
        for query, own_logits_P in enumerate(own_logits_QP):
            logits_FN, contributions_FN = logits_UN[index[query]], contributions_UN[index[query]]
            greatest = max(float(own_logits_P.max()) if own_logits_P.numel() else -torch.inf, float(logits_FN.max()))
            weights_FN, own_weights_P = torch.exp(logits_FN - greatest), torch.exp(own_logits_P - greatest)
            weighted_N = (weights_FN * contributions_FN).sum(dim=0) + own_weights_P @ own_contributions_QP[query]
            pooled_N = weighted_N / (weights_FN.sum(dim=0) + own_weights_P.sum())
            rows.append(n_pairs * pooled_N + self._linear_N)
        return torch.stack(rows)

    def _item_terms(self, ids: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        if len(self._cache) > _MAX_CACHED_FEATURES:
            self._cache.clear()
        for feature in ids.tolist():
            if feature not in self._cache:
                vector_K = self._embedding(torch.tensor(feature))
                self._cache[feature] = self._terms.of_products(self._vectors_NK, vector_K)
            yield self._cache[feature]
