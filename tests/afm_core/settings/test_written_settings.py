"""Settings that were written with all their defaults, as bundles keep them, can be read again."""

from pathlib import Path
from typing import Any

import pytest

from afm_core.settings import load_settings, write_settings
from tests.support.config import write_minimal_config

JOIN = {"path": "b.csv", "on": "item", "columns": "genres"}
DAY = {"name": "day", "kind": "time", "of": ["d", "m"], "format": "d M", "part": "weekday"}


@pytest.mark.parametrize(
    ("fields", "sections"),
    [
        (["site", "device"], {"label": {"column": "clicked"}}),
        (["user", "item"], {}),
        (["user", "item", "genres"], {"logs": {"path": "a.csv", "join": [JOIN]}}),
        (["user", DAY], {"label": {"column": "yes"}}),
    ],
)
def test_they_are_the_same(tmp_path: Path, fields: list[Any], sections: dict[str, Any]) -> None:
    settings = load_settings(write_minimal_config(tmp_path, "a.csv", fields, **sections))
    write_settings(settings, tmp_path / "written.yaml")
    assert load_settings(tmp_path / "written.yaml") == settings
