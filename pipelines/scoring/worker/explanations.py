"""Why a row has its score: its most weighted interactions, as columns that SQL can explode."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray
from pyspark.sql.pandas.types import to_arrow_type
from pyspark.sql.types import ArrayType

from afm_core.bundle import Bundle
from afm_core.errors import BundleError
from afm_core.inference.explanations import explain
from afm_core.kernels import pair_indices
from afm_core.models import AFM, EncodedBatch
from pipelines.contracts import FIRST_ORDER, INTERACTION, INTERACTIONS

_LISTED = to_arrow_type(ArrayType(INTERACTION, containsNull=False))
_ROWS = 256  # 45 pairs x 256 floats of 256 rows are 12 MB


class RowExplainer:
    """Explains the rows of one bundle's model."""

    def __init__(self, bundle: Bundle, k: int) -> None:
        """Load what the ids mean.

        Args:
            k: interactions a row, at most.

        Raises:
            BundleError: the model is none whose output is a sum over pairs with weights.
        """
        require_explainable(bundle)
        self._bundle, self._k = bundle, k
        self._values = _values(bundle.features_path)
        names = [field.name for field in bundle.feature_map.slots]
        self._left, self._right = (np.array(side) for side in zip(*pair_indices(len(names)), strict=True))
        self._names = pa.array(names)

    def columns(self, ids: NDArray[np.int32], x: NDArray[np.float32]) -> dict[str, pa.Array]:
        """`FIRST_ORDER` and `INTERACTIONS` of rows, ids (N, F) and x (N, X)."""
        pieces = [self._piece(ids[at : at + _ROWS], x[at : at + _ROWS]) for at in range(0, len(ids), _ROWS)]
        return {name: pa.concat_arrays([piece[name] for piece in pieces]) for name in (FIRST_ORDER, INTERACTIONS)}

    def _piece(self, ids: NDArray[np.int32], x: NDArray[np.float32]) -> dict[str, pa.Array]:
        slots = self._bundle.feature_map.value_index
        batch = EncodedBatch.of_columns(torch.from_numpy(ids.astype(np.int64)), torch.from_numpy(x), slots)
        assert isinstance(self._bundle.model, AFM)
        found = explain(self._bundle.model, batch, self._k)
        present = found.present.numpy()
        pair, row = found.pair.numpy()[present], np.nonzero(present)[0]
        sides = {"left": self._left[pair], "right": self._right[pair]}
        fields: dict[str, pa.Array] = {}
        for side, column in sides.items():
            fields[f"{side}_field"] = self._names.take(pa.array(column))
            fields[f"{side}_value"] = self._values.take(pa.array(ids[row, column]))
        fields["weight"] = pa.array(found.weight.numpy()[present])
        fields["contribution"] = pa.array(found.contribution.numpy()[present])
        structs = pa.StructArray.from_arrays(
            [fields[field.name] for field in _LISTED.value_type], fields=_LISTED.value_type
        )
        offsets = np.concatenate(([0], np.cumsum(present.sum(axis=1)))).astype(np.int32)
        return {
            FIRST_ORDER: pa.array(found.first_order.numpy()),
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


def _values(features: Path) -> pa.Array:
    """The value of every id, in the order of the ids."""
    table = pq.read_table(features, columns=["id", "value"]).sort_by("id")
    return table["value"].combine_chunks()
