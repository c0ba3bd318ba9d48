"""The settings tree as text for a person: every key, its default and its meaning."""

import inspect
import textwrap
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from afm_core.settings.tree import Settings

_INDENT = 6


def settings_reference(sections: Sequence[str], width: int = 100) -> str:
    """Two lines or more a key of `sections`: `section.key = default`, and what it means."""
    lines: list[str] = []
    for section in sections:
        for key, info in _keys(section, Settings.model_fields[section]):
            lines.append(f"  {key}{_default(info)}")
            lines += textwrap.wrap(
                info.description or "", width, initial_indent=" " * _INDENT, subsequent_indent=" " * _INDENT
            )
    return "\n".join(lines)


def sections_of(annotation: Any) -> list[type[BaseModel]]:
    """The sections that a key of this annotation may hold; none where it holds a value."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return list(dict.fromkeys(found for part in get_args(annotation) for found in sections_of(part)))


def _keys(prefix: str, info: FieldInfo) -> Iterator[tuple[str, FieldInfo]]:
    sections = sections_of(info.annotation)
    if not sections or info.description:
        yield prefix, info
    joint = "[]" if "tuple" in str(info.annotation) else ""
    if len(sections) == 1:
        for name, inner in sections[0].model_fields.items():
            yield from _keys(f"{prefix}{joint}.{name}", inner)
    elif sections:
        yield from _keys_of_kinds(f"{prefix}{joint}", sections)


def _keys_of_kinds(prefix: str, sections: Sequence[type[BaseModel]]) -> Iterator[tuple[str, FieldInfo]]:
    """The keys that several kinds share, then for each kind what it is and its own keys."""
    places = Counter((name, info.description) for section in sections for name, info in section.model_fields.items())
    shared = {name: info for section in reversed(sections) for name, info in section.model_fields.items()}
    for name, info in shared.items():
        if name != "kind" and places[name, info.description] > 1:
            yield f"{prefix}.{name}", info
    for section in sections:
        kind = section.__name__.lower()
        yield f"{prefix} of kind {kind}", FieldInfo(default="", description=inspect.cleandoc(section.__doc__ or ""))
        for name, info in section.model_fields.items():
            if name != "kind" and places[name, info.description] == 1:
                yield f"{prefix} {kind}.{name}", info


def _default(info: FieldInfo) -> str:
    if info.default == "":
        return ""
    if info.is_required():
        return " (required)"
    match info.default:
        case BaseModel():
            return ""
        case None | ():
            return " (not set)"
        case Path() | str() | int() | float():
            return f" = {info.default}"
        case other:
            return f" = {other!r}"
