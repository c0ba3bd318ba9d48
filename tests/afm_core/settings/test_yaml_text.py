"""Reading YAML in which each key stands once."""

import pytest
import yaml

from afm_core.settings.yaml_text import load_yaml


@pytest.mark.parametrize("text", ["train: 1\nrun: 2\ntrain: 3\n", "a: {b: 1, b: 2}", "- x: 1\n  x: 1\n"])
def test_a_key_that_stands_twice_is_an_error_with_its_line(text: str) -> None:
    with pytest.raises(yaml.YAMLError, match=r"the key \w+ stands twice(.|\n)*line \d"):
        load_yaml(text)


def test_the_same_key_in_other_mappings_is_none() -> None:
    assert load_yaml("a: {x: 1}\nb: {x: 2}\n1: 2\n") == {"a": {"x": 1}, "b": {"x": 2}, 1: 2}
    assert load_yaml("base: &base {x: 1}\nmore:\n  <<: *base\n  x: 2\n")["more"] == {"x": 2}
