"""The settings tree as text for a person: every key, its default and its meaning, grouped by section."""

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
    """For each of `sections` what it is about, then `section.key = default` and the meaning of every key."""
    groups = []
    for section in sections:
        info = Settings.model_fields[section]
        lines = _section_heading(section, info)
        for key, key_info in _keys(section, info):
            lines.append(f"  {key}{_default(key_info)}")
            lines += _wrapped(key_info.description or "", width)
        groups.append("\n".join(lines))
    return "\n\n".join(groups)


def sections_of(annotation: Any) -> list[type[BaseModel]]:
    """The sections that a key of this annotation may hold; none where it holds a value."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return list(dict.fromkeys(section for part in get_args(annotation) for section in sections_of(part)))


def kind_of(section: type[BaseModel]) -> str | None:
    """The `kind` of a field declaration; None for any other section."""
    kind = section.model_fields.get("kind")
    return get_args(kind.annotation)[0] if kind else None


def _section_heading(section: str, info: FieldInfo) -> list[str]:
    sections = sections_of(info.annotation)
    if info.description or len(sections) != 1:
        return []
    return [f" {section}", *_wrapped(inspect.cleandoc(sections[0].__doc__ or ""), 100)]


def _wrapped(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, width, initial_indent=" " * _INDENT, subsequent_indent=" " * _INDENT)


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
    uses = Counter((name, info.description) for section in sections for name, info in section.model_fields.items())
    shared = {name: info for section in reversed(sections) for name, info in section.model_fields.items()}
    for name, info in shared.items():
        if name != "kind" and uses[name, info.description] > 1:
            kinds = [kind_of(section) for section in sections if _has_key(section, name, info)]
            of_kinds = f" (kinds {', '.join(map(str, kinds))})" if len(kinds) < len(sections) else ""
            yield f"{prefix}.{name}{of_kinds}", info
    for section in sections:
        kind = kind_of(section)
        yield f"{prefix} of kind {kind}", FieldInfo(default="", description=inspect.cleandoc(section.__doc__ or ""))
        for name, info in section.model_fields.items():
            if name != "kind" and uses[name, info.description] == 1:
                yield f"{prefix} {kind}.{name}", info


def _has_key(section: type[BaseModel], name: str, info: FieldInfo) -> bool:
    key = section.model_fields.get(name)
    return key is not None and key.description == info.description


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
