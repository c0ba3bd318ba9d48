"""Explained scores: the most weighted interactions of each row, as columns that SQL can explode."""

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from afm_core.bundle import Bundle
from afm_core.errors import BundleError
from afm_core.features.feature_table import values_by_id
from afm_core.inference.explanations import explain
from afm_core.kernels import pair_indices
from afm_core.models import AFM, EncodedBatch

FIRST_ORDER, INTERACTIONS = "first_order", "interactions"
_INTERACTION = pa.struct(
    [
        pa.field("left_field", pa.string(), nullable=False),
        pa.field("left_value", pa.string()),
        pa.field("right_field", pa.string(), nullable=False),
        pa.field("right_value", pa.string()),
        pa.field("weight", pa.float32(), nullable=False),
        pa.field("contribution", pa.float32(), nullable=False),
    ]
)
_LISTED = pa.list_(pa.field("element", _INTERACTION, nullable=False))
_ROWS_AT_ONCE = 256  # the interactions of 256 rows, 45 pairs x 256 floats each, are 12 MB


class RowExplainer:
    """Explains the scores of one bundle's model."""

    def __init__(self, bundle: Bundle, k: int) -> None:
        """Load the values of the ids.

        Args:
            k: maximum number of interactions per row.

        Raises:
            BundleError: the model's output is not a sum over weighted pairs.
        """
        require_explainable(bundle)
        self._bundle, self._k = bundle, k
        self._values = values_by_id(bundle.features_path)
        names = [field.name for field in bundle.feature_map.column_fields]
        self._left, self._right = (np.array(side) for side in zip(*pair_indices(len(names)), strict=True))
        self._names = pa.array(names)

    def columns(self, ids: NDArray[np.int32], x: NDArray[np.float32]) -> dict[str, pa.Array]:
        """The columns `FIRST_ORDER` and `INTERACTIONS` of N rows, from ids (N, F) and x_i (N, X)."""
        pieces = [
            self._piece(ids[start : start + _ROWS_AT_ONCE], x[start : start + _ROWS_AT_ONCE])
            for start in range(0, len(ids), _ROWS_AT_ONCE)
        ]
        return {name: pa.concat_arrays([piece[name] for piece in pieces]) for name in (FIRST_ORDER, INTERACTIONS)}

    def _piece(self, ids: NDArray[np.int32], x: NDArray[np.float32]) -> dict[str, pa.Array]:
        slots = self._bundle.feature_map.value_index
        batch = EncodedBatch.of_columns(torch.from_numpy(ids.astype(np.int64)), torch.from_numpy(x), slots)
        assert isinstance(self._bundle.model, AFM)
        explanation = explain(self._bundle.model, batch, self._k)
        present = explanation.present.numpy()
        pair, row = explanation.pair.numpy()[present], np.nonzero(present)[0]
        sides = {"left": self._left[pair], "right": self._right[pair]}
        fields: dict[str, pa.Array] = {}
        for side, column in sides.items():
            fields[f"{side}_field"] = self._names.take(pa.array(column))
            fields[f"{side}_value"] = self._values.take(pa.array(ids[row, column]))
        fields["weight"] = pa.array(explanation.weight.numpy()[present])
        fields["contribution"] = pa.array(explanation.contribution.numpy()[present])
        structs = pa.StructArray.from_arrays(
            [fields[field.name] for field in _LISTED.value_type], fields=_LISTED.value_type
        )
        offsets = np.concatenate(([0], np.cumsum(present.sum(axis=1)))).astype(np.int32)
        return {
            FIRST_ORDER: pa.array(explanation.first_order.numpy()),
            INTERACTIONS: pa.ListArray.from_arrays(pa.array(offsets), structs, type=_LISTED),
        }


def require_explainable(bundle: Bundle) -> None:
    """Refuse a bundle whose output is not first order plus weighted pairs.

    Raises:
        BundleError: naming the model.
    """
    if type(bundle.model) is not AFM:
        raise BundleError(
            f"{bundle.path}: holds a {bundle.settings.model.name}; --explain needs an afm, whose output is a sum over "
            "pairs with weights"
        )
