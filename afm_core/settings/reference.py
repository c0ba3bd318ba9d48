"""The settings tree as text for a person: every key, its default and its meaning."""

import textwrap
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


def section_of(annotation: Any) -> type[BaseModel] | None:
    """The section that a key of this annotation holds, or None where it holds a value."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := section_of(part))), None)


def _keys(prefix: str, info: FieldInfo) -> Iterator[tuple[str, FieldInfo]]:
    section = section_of(info.annotation)
    if section is None or info.description:
        yield prefix, info
    if section is not None:
        joint = "[]." if "tuple" in str(info.annotation) else "."
        for name, inner in section.model_fields.items():
            yield from _keys(f"{prefix}{joint}{name}", inner)


def _default(info: FieldInfo) -> str:
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
