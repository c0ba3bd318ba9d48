"""What an id means: field declarations and the feature map fitted from them."""

from afm_core.features.compatibility import keeps_ids
from afm_core.features.feature_map import FeatureMap, FieldIds, IdRange, Scaling
from afm_core.features.field import Categorical, CoOccurrence, Crossed, Field, Frequency, Hashed, Numeric, Tags, Time

__all__ = [
    "Categorical",
    "CoOccurrence",
    "Crossed",
    "FeatureMap",
    "Field",
    "FieldIds",
    "Frequency",
    "Hashed",
    "IdRange",
    "Numeric",
    "Scaling",
    "Tags",
    "Time",
    "keeps_ids",
]
