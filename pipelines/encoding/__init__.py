"""The one encoder, used by preparation and by scoring: fit a feature map, apply it."""
