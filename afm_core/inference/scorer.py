"""Scores of any number of rows, as evaluation, certificates and nightly scoring compute them."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from afm_core.features import FeatureMap
from afm_core.features.feature_map import PADDING_ID
from afm_core.inference.pair_tables import BATCH_ROWS, PairTables
from afm_core.kernels.subnormals import subnormals_as_zeros
from afm_core.learning.calibrated_model import CalibratedModel
from afm_core.models import EncodedBatch


class Scorer:
    """Scores rows of one feature map, faster the more rows it has scored (`afm_core.inference.pair_tables`).

    Rows must be as the map encodes them: a column holds ids of its own field or padding, and x_i is 1 where the map
    says so.

    A row's score is the same bit for bit whatever other rows are scored with it, and equals the model's own up to
    rounding. Matrix products round differently for different numbers of rows, so every batch has the same number: the
    last one is filled up with padding.
    """

    def __init__(self, calibrated_model: CalibratedModel, feature_map: FeatureMap) -> None:
        """Keep both. The model's weights may not change afterwards."""
        self._calibrated_model, self._value_index = calibrated_model.eval(), feature_map.value_index
        tables = PairTables.of(calibrated_model.model, feature_map)
        self._outputs = tables.outputs if tables else calibrated_model.model

    @subnormals_as_zeros()
    @torch.inference_mode()
    def batch(self, batch: EncodedBatch) -> Tensor:
        """Scores of any number of rows, (B,) float32."""
        parts = zip(*(torch.split(tensor, BATCH_ROWS) for tensor in batch), strict=True)
        scores = [self._scores(EncodedBatch(*part)) for part in parts]
        return torch.cat(scores) if scores else torch.empty(0)

    def columns(self, ids: NDArray[np.int32], x: NDArray[np.float32]) -> NDArray[np.float32]:
        """Scores of any number of rows, ids (N, F) and x (N, X) to (N,) float32, in the memory of one batch."""
        scores = np.empty(len(ids), dtype=np.float32)
        for start in range(0, len(ids), BATCH_ROWS):
            rows = slice(start, start + BATCH_ROWS)
            columns = torch.from_numpy(ids[rows].astype(np.int64)), torch.from_numpy(x[rows])
            scores[rows] = self.batch(EncodedBatch.of_columns(*columns, self._value_index)).numpy()
        return scores

    def _scores(self, batch: EncodedBatch) -> Tensor:
        rows = len(batch.ids)
        full = batch if rows == BATCH_ROWS else _filled_up(batch)
        return self._calibrated_model.to_score(self._outputs(full))[:rows]


def _filled_up(batch: EncodedBatch) -> EncodedBatch:
    missing = (0, 0, 0, BATCH_ROWS - len(batch.ids))
    return EncodedBatch(
        functional.pad(batch.ids, missing, value=PADDING_ID),
        functional.pad(batch.values, missing, value=1.0),
        functional.pad(batch.mask, missing, value=False),
    )
