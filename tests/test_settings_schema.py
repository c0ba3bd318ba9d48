"""The JSON schema of the settings, by which editors check the repository's YAML files."""

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from afm_core.settings import Settings
from afm_core.settings.yaml_text import load_yaml
from tests.support.files import ROOT

SCHEMA = ROOT / "conf" / "settings.schema.json"
FILES = sorted([*(ROOT / "conf").glob("*.yaml"), *(ROOT / "conf" / "data_sets").glob("*.yaml")])


def problems(tree: Any) -> list[str]:
    validator = Draft202012Validator(json.loads(SCHEMA.read_text(encoding="utf-8")))
    return [error.message for error in validator.iter_errors(json.loads(json.dumps(tree, default=str)))]


def test_the_file_is_up_to_date() -> None:
    """`python jobs/schema.py > conf/settings.schema.json` writes it."""
    assert json.loads(SCHEMA.read_text(encoding="utf-8")) == Settings.model_json_schema()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_yaml_names_the_schema_and_is_valid(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    named = text.splitlines()[0].removeprefix("# yaml-language-server: $schema=")
    assert (path.parent / named).resolve() == SCHEMA
    assert problems(load_yaml(text)) == []


@pytest.mark.parametrize(
    "change",
    [
        {"train": {"learning_rat": 0.1}},
        {"train": {"warm_start": "nfm"}},
        {"logs": {"path": "logs", "format": "xls"}},
        {"fields": ["user", {"name": "item", "kind": "hashed"}]},
        {"negatives": {"replace": 3}},
    ],
)
def test_what_the_settings_refuse_is_not_valid(change: dict[str, Any]) -> None:
    tree = load_yaml((ROOT / "conf" / "demo.yaml").read_text(encoding="utf-8"))
    assert problems(tree) == []
    assert problems({**tree, **change})
