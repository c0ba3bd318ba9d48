"""What an id means: field declarations and the feature map fitted from them."""

from afm_core.features.feature_map import FeatureMap, FieldIds, IdRange, Scaling
from afm_core.features.field import Affinity, Categorical, Count, Crossed, Field, Hashed, Numeric, Tags, Time
from afm_core.features.keeping import keeps_ids

__all__ = [
    "Affinity",
    "Categorical",
    "Count",
    "Crossed",
    "FeatureMap",
    "Field",
    "FieldIds",
    "Hashed",
    "IdRange",
    "Numeric",
    "Scaling",
    "Tags",
    "Time",
    "keeps_ids",
]
