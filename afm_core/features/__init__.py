"""What an id means: field declarations and the feature map fitted from them."""

from afm_core.features.feature_map import FeatureMap, FieldIds
from afm_core.features.field import Field

__all__ = ["FeatureMap", "Field", "FieldIds"]
