"""The sizes of the data that a model is built for."""

from typing import NamedTuple

from afm_core.features import FeatureMap


class Shape(NamedTuple):
    """What a model must know about a feature map."""

    n_ids: int
    """Rows of an embedding table."""
    n_columns: int
    """F, the columns of a batch."""

    @classmethod
    def of(cls, feature_map: FeatureMap) -> "Shape":
        """The shape for batches that this map encodes."""
        return cls(feature_map.n_ids, len(feature_map.id_columns))
