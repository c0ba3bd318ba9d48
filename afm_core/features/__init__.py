"""Fields as declared in the settings, and the feature map fitted from them: which id stands for which value."""

from afm_core.features.compatibility import keeps_ids
from afm_core.features.derived_field import CoOccurrence, Crossed, Derived, Frequency, TargetRate
from afm_core.features.feature_map import FeatureMap
from afm_core.features.field import Categorical, Field, Hashed, Numeric, Tags, Time, has_vocabulary
from afm_core.features.field_ids import FieldIds, IdRange, Scaling

__all__ = [
    "Categorical",
    "CoOccurrence",
    "Crossed",
    "Derived",
    "FeatureMap",
    "Field",
    "FieldIds",
    "Frequency",
    "Hashed",
    "IdRange",
    "Numeric",
    "Scaling",
    "Tags",
    "TargetRate",
    "Time",
    "has_vocabulary",
    "keeps_ids",
]
