"""Defaults that name fields."""

from pathlib import Path

import pytest

from afm_core.errors import SettingsError
from afm_core.settings import load_settings
from tests.support.config import write_minimal_config


def test_labelled_logs_need_no_field_called_user_or_item(tmp_path: Path) -> None:
    config = write_minimal_config(tmp_path, tmp_path / "logs", fields=["site", "banner"], label={"column": "click"})
    settings = load_settings(config)
    assert (settings.seen_by, settings.required_fields, settings.group_field) == ((), (), None)


def test_a_field_that_is_named_must_exist_although_nothing_is_drawn(tmp_path: Path) -> None:
    sections = {"label": {"column": "click"}, "negatives": {"never_seen_by": "visitor"}}
    config = write_minimal_config(tmp_path, tmp_path / "logs", fields=["site", "banner"], **sections)
    with pytest.raises(SettingsError, match="found 'visitor', allowed is one of the fields: site, banner"):
        load_settings(config)
