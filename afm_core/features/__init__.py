"""Fields as declared in the settings, and the feature map fitted from them: which id stands for which value."""

from afm_core.features.compatibility import keeps_ids
from afm_core.features.feature_map import FeatureMap
from afm_core.features.field import Categorical, CoOccurrence, Crossed, Field, Frequency, Hashed, Numeric, Tags, Time
from afm_core.features.field_ids import FieldIds, IdRange, Scaling

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
