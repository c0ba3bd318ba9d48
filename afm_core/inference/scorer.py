"""Scores of any rows, as evaluations, certificates and nights have them."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from afm_core.features import FeatureMap
from afm_core.features.feature_map import PADDING_ID
from afm_core.inference.pair_tables import ROWS_AT_ONCE, PairTables
from afm_core.learning.prediction import Predictor
from afm_core.models import EncodedBatch


class Scorer:
    """Scores rows of one feature map, the more, the faster each (`afm_core.inference.pair_tables`).

    Rows must be as the map encodes them: a column holds ids of its own field or padding, and x_i is 1 where the map
    says so.

    A row's score is the same bit for bit whatever rows come with it, and but for rounding the predictor's own. Matrix
    products round by their number of rows: so every piece has the same, the last one filled up with padding.
    """

    def __init__(self, predictor: Predictor, feature_map: FeatureMap) -> None:
        """Keep both. The predictor's weights may not change afterwards."""
        self._predictor, self._x_of_slots = predictor.eval(), feature_map.value_index
        tables = PairTables.of(predictor.model, feature_map)
        self._outputs = tables.outputs if tables else predictor.model

    @torch.inference_mode()
    def batch(self, batch: EncodedBatch) -> Tensor:
        """Scores of any number of rows, (B,) float32."""
        pieces = zip(*(torch.split(part, ROWS_AT_ONCE) for part in batch), strict=True)
        found = [self._piece(EncodedBatch(*piece)) for piece in pieces]
        return torch.cat(found) if found else torch.empty(0)

    def columns(self, ids: NDArray[np.int32], x: NDArray[np.float32]) -> NDArray[np.float32]:
        """Scores of any number of rows, ids (N, F) and x (N, X) to (N,) float32, in memory of a piece."""
        scores = np.empty(len(ids), dtype=np.float32)
        for start in range(0, len(ids), ROWS_AT_ONCE):
            rows = slice(start, start + ROWS_AT_ONCE)
            piece = torch.from_numpy(ids[rows].astype(np.int64)), torch.from_numpy(x[rows])
            scores[rows] = self.batch(EncodedBatch.of_columns(*piece, self._x_of_slots)).numpy()
        return scores

    def _piece(self, batch: EncodedBatch) -> Tensor:
        rows = len(batch.ids)
        whole = batch if rows == ROWS_AT_ONCE else _filled_up(batch)
        return self._predictor.of_output(self._outputs(whole))[:rows]


def _filled_up(batch: EncodedBatch) -> EncodedBatch:
    missing = (0, 0, 0, ROWS_AT_ONCE - len(batch.ids))
    return EncodedBatch(
        functional.pad(batch.ids, missing, value=PADDING_ID),
        functional.pad(batch.values, missing, value=1.0),
        functional.pad(batch.mask, missing, value=False),
    )
