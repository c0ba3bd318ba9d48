"""Scores of any number of rows, as evaluation, certificates and nightly scoring compute them."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from afm_core.features import FeatureMap
from afm_core.features.feature_map import PADDING_ID
from afm_core.inference.pair_tables import BATCH_ROWS, FEW_ROWS, PairTables
from afm_core.kernels.subnormals import subnormals_as_zeros
from afm_core.learning.calibrated_model import CalibratedModel
from afm_core.models import EncodedBatch


class Scorer:
    """Scores rows of one feature map, faster the more rows it has scored (`afm_core.inference.pair_tables`).

    Rows must be as the map encodes them: a column holds ids of its own field or padding, and x_i is 1 where the map
    says so.

    A row's score is the same bit for bit whatever other rows are scored with it, and equals the model's own up to
    rounding. Matrix products round differently for different numbers of rows, so every batch has the same number: the
    last one is filled up with padding. Few rows alone are filled up to fewer where this machine's products are known to
    round them alike.
    """

    def __init__(self, calibrated_model: CalibratedModel, feature_map: FeatureMap) -> None:
        """Keep both. The model's weights may not change afterwards."""
        self._calibrated_model, self._value_index = calibrated_model.eval(), feature_map.value_index
        tables = PairTables.of(calibrated_model.model, feature_map)
        self._outputs = tables.outputs if tables else calibrated_model.model
        self._map = feature_map
        self._is_exact: dict[int, bool] = {}  # by number of threads

    @subnormals_as_zeros()
    @torch.inference_mode()
    def batch(self, batch: EncodedBatch) -> Tensor:
        """Scores of any number of rows, (B,) float32."""
        size = FEW_ROWS if 0 < len(batch.ids) <= FEW_ROWS and self._few_rows_are_exact() else BATCH_ROWS
        parts = zip(*(torch.split(tensor, size) for tensor in batch), strict=True)
        scores = [self._scores(EncodedBatch(*part), size) for part in parts]
        return torch.cat(scores) if scores else torch.empty(0)

    def columns(self, ids: NDArray[np.int32], x: NDArray[np.float32]) -> NDArray[np.float32]:
        """Scores of any number of rows, ids (N, F) and x (N, X) to (N,) float32, in the memory of one batch."""
        scores = np.empty(len(ids), dtype=np.float32)
        for start in range(0, len(ids), BATCH_ROWS):
            rows = slice(start, start + BATCH_ROWS)
            columns = torch.from_numpy(ids[rows].astype(np.int64)), torch.from_numpy(x[rows])
            scores[rows] = self.batch(EncodedBatch.of_columns(*columns, self._value_index)).numpy()
        return scores

    def _scores(self, batch: EncodedBatch, size: int) -> Tensor:
        rows = len(batch.ids)
        full = batch if rows == size else _filled_up(batch, size)
        return self._calibrated_model.to_score(self._outputs(full))[:rows]

    def _few_rows_are_exact(self) -> bool:
        """Whether random rows have the same outputs in batches of `FEW_ROWS` as in one of `BATCH_ROWS`, bit for bit.

        How a product is rounded depends on the order of its sums, and that on the shape of the matrices and on the
        number of threads, not on the numbers in them. Cost: two batches, once.
        """
        threads = torch.get_num_threads()
        if threads not in self._is_exact:
            batch = _random_rows(self._map)
            in_parts = zip(*(torch.split(tensor, FEW_ROWS) for tensor in batch), strict=True)
            parts = [self._outputs(EncodedBatch(*part)) for part in in_parts]
            self._is_exact[threads] = torch.equal(torch.cat(parts), self._outputs(batch))
        return self._is_exact[threads]


def _random_rows(feature_map: FeatureMap) -> EncodedBatch:
    """`BATCH_ROWS` rows of any ids of each column's field, padding among them."""
    random = np.random.default_rng(0)
    ids = np.zeros((BATCH_ROWS, len(feature_map.column_fields)), dtype=np.int64)
    for column, field in enumerate(feature_map.column_fields):
        numbers = random.integers(-2, field.size, BATCH_ROWS)
        ids[:, column] = np.where(numbers == -1, field.unknown_id, PADDING_ID)
        ids[numbers >= 0, column] = field.ids(numbers[numbers >= 0])
    x = random.standard_normal((BATCH_ROWS, len(feature_map.x_columns))).astype(np.float32)
    return EncodedBatch.of_columns(torch.from_numpy(ids), torch.from_numpy(x), feature_map.value_index)


def _filled_up(batch: EncodedBatch, size: int) -> EncodedBatch:
    missing = (0, 0, 0, size - len(batch.ids))
    return EncodedBatch(
        functional.pad(batch.ids, missing, value=PADDING_ID),
        functional.pad(batch.values, missing, value=1.0),
        functional.pad(batch.mask, missing, value=False),
    )
