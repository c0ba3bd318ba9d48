"""Reading YAML in which each key stands once, and words are words."""

import re
from typing import Any, TextIO

import yaml
from yaml.constructor import ConstructorError


def load_yaml(text: str | TextIO) -> Any:
    """What a YAML text holds.

    Raises:
        yaml.YAMLError: it is not valid, or a mapping has a key twice, of which YAML would keep the last one.
    """
    return yaml.load(text, Loader=_Loader)


class _Loader(yaml.SafeLoader):
    """As YAML 1.2: `on`, `off`, `yes` and `no` are text, so that they can be keys, values of a label, or Norway.

    Where a setting is a boolean, such a text is understood as before.
    """

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """See `yaml.SafeLoader`. Keys that come from a merge (`<<`) may stand again."""
        keys = set()
        for key_node, _ in node.value:
            key = key_node.value
            if key_node.tag != "tag:yaml.org,2002:merge" and isinstance(key, str):
                if key in keys:
                    raise ConstructorError(None, None, f"the key {key} stands twice", key_node.start_mark)
                keys.add(key)
        return super().construct_mapping(node, deep)


_BOOLEAN = "tag:yaml.org,2002:bool"
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != _BOOLEAN]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(_BOOLEAN, re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF"))
