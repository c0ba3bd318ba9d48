"""Credentials have no place in settings: they are copied beside every output."""

from collections.abc import Iterator, Mapping
from typing import Any

from afm_core.redaction import holds_credentials

_REMEDY = "put them into the environment or Hadoop's configuration, and name the URL without them"


def credential_problems(tree: Mapping[str, Any]) -> Iterator[str]:
    """One line for each value, in a settings tree that was read from YAML, that is a URL with credentials in it."""
    yield from _problems(tree, "", set())


def _problems(node: Any, key: str, seen: set[int]) -> Iterator[str]:
    """Each node is visited once: aliases in YAML can make a small file stand for millions of values."""
    if isinstance(node, str):
        if holds_credentials(node):
            yield f"{key}: a URL with credentials in it, which is not shown; {_REMEDY}"
    elif isinstance(node, Mapping | list) and id(node) not in seen:
        seen.add(id(node))
        entries = node.items() if isinstance(node, Mapping) else enumerate(node)
        for name, value in entries:
            yield from _problems(value, f"{key}.{name}" if key else str(name), seen)
