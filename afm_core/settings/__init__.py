"""Typed settings: one YAML file a data set, one tree, the same for every job."""

from afm_core.settings.loading import load_settings, read_settings, write_settings
from afm_core.settings.reference import settings_reference
from afm_core.settings.tree import Settings

__all__ = ["Settings", "load_settings", "read_settings", "settings_reference", "write_settings"]
