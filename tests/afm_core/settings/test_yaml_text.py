"""Reading YAML in which each key stands once, and words are words."""

import pytest
import yaml

from afm_core.settings.data import LabelSettings
from afm_core.settings.model import ModelSettings
from afm_core.settings.yaml_text import load_yaml


@pytest.mark.parametrize("text", ["train: 1\nrun: 2\ntrain: 3\n", "a: {b: 1, b: 2}", "- x: 1\n  x: 1\n"])
def test_a_key_that_stands_twice_is_an_error_with_its_line(text: str) -> None:
    with pytest.raises(yaml.YAMLError, match=r"the key \w+ stands twice(.|\n)*line \d"):
        load_yaml(text)


def test_the_same_key_in_other_mappings_is_none() -> None:
    assert load_yaml("a: {x: 1}\nb: {x: 2}\n1: 2\n") == {"a": {"x": 1}, "b": {"x": 2}, 1: 2}
    assert load_yaml("base: &base {x: 1}\nmore:\n  <<: *base\n  x: 2\n")["more"] == {"x": 2}


def test_words_are_words() -> None:
    """As in YAML 1.2; a setting that is a boolean takes them as before."""
    text = "on: item\nwords: [yes, no, NO, off, y]\nbooleans: [true, False]\nnumbers: [1, 1.5e-3, ~]"
    assert load_yaml(text) == {
        "on": "item",
        "words": ["yes", "no", "NO", "off", "y"],
        "booleans": [True, False],
        "numbers": [1, 0.0015, None],
    }
    assert LabelSettings.model_validate(load_yaml("{column: bought, positive: [yes]}")).positive == ("yes",)
    assert ModelSettings.model_validate(load_yaml("attention: no")).attention is False
