"""Reading settings: the YAML file, then `--set a.b=c`, then the typed tree. All problems are reported at once."""

import difflib
import reprlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from afm_core.errors import SettingsError
from afm_core.settings.credentials import credential_problems
from afm_core.settings.path_checks import client_problems, path_problems
from afm_core.settings.reference import kind_of, sections_of
from afm_core.settings.renamed_keys import renamed_key_problems
from afm_core.settings.tree import Settings
from afm_core.settings.yaml_text import load_yaml
from afm_core.storage.atomic import write_text
from afm_core.storage.locations import Location

_LONGEST_VALUE = 200  # characters
_REPR = reprlib.Repr()
_REPR.maxlevel, _REPR.maxstring, _REPR.maxother = 4, _LONGEST_VALUE, _LONGEST_VALUE


def load_settings(path: Path, overrides: Sequence[str] = ()) -> Settings:
    """Read `path`, apply `overrides` (each `a.b=value`, the value read as YAML) and check the whole tree.

    Raises:
        SettingsError: with one line for each problem: file, key, what was found, what is allowed, the nearest key.
    """
    settings = _load(path, overrides)
    problems = [f"{path}: {line}" for line in (*client_problems(settings), *path_problems(settings))]
    if problems:
        raise SettingsError(problems)
    return settings


def read_settings(path: Path) -> Settings:
    """Read settings that a job wrote beside its output; nothing is read from or published to the paths in them.

    Raises:
        SettingsError: as `load_settings`.
    """
    return _load(path, ())


def _load(path: Path, overrides: Sequence[str]) -> Settings:
    tree = _parse(path)
    problems = [line for text in overrides if (line := _override(tree, text))]
    problems += [f"{path}: {line}" for line in (*credential_problems(tree), *renamed_key_problems(tree))]
    if problems:
        raise SettingsError(problems)
    try:
        return Settings.model_validate(tree)
    except ValidationError as error:
        raise SettingsError([_explain(path, detail) for detail in error.errors()]) from error


def write_settings(settings: Settings, path: Location) -> None:
    """Write the effective settings, defaults and overrides included, in a form that can be loaded again."""
    write_text(path, settings_text(settings))


def settings_text(settings: Settings) -> str:
    """The YAML that `write_settings` writes."""
    return yaml.safe_dump(settings.model_dump(mode="json"), sort_keys=False)


def _parse(path: Path) -> dict[str, Any]:
    try:
        with path.open(encoding="utf-8") as file:  # from a text, errors would quote a part of it, and maybe of a secret
            tree = load_yaml(file)
    except OSError as error:
        raise SettingsError([f"{path}: cannot be read ({error.strerror}); name a YAML file with --config"]) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SettingsError([f"{path}: not valid YAML: {' '.join(str(error).split())}"]) from error
    if not isinstance(tree, dict):
        raise SettingsError([f"{path}: a mapping of sections is needed, found {type(tree).__name__}"])
    return tree


def _override(tree: dict[str, Any], text: str) -> str | None:
    """Apply one `a.b=value` to `tree`; return what is wrong with it, or None."""
    key, separator, value = text.partition("=")
    if not separator or not key:
        return f"--set {text}: found no '=', allowed is section.key=value"
    *parents, last = key.split(".")
    node = tree
    for depth, parent in enumerate(parents):
        child = node.setdefault(parent, {})
        if isinstance(child, str) and parent == "warm_start":  # short for a section
            child = node[parent] = {"model": child}
        if not isinstance(child, dict):
            return f"--set {text}: {'.'.join(parents[: depth + 1])} is a value, not a section"
        node = child
    try:
        node[last] = load_yaml(value)
    except yaml.YAMLError:
        return f"--set {text}: the value is not valid YAML; quote it"
    return None


def _explain(path: Path, detail: ErrorDetails) -> str:
    location = [str(part) for part in detail["loc"]]
    key = ".".join(part for depth, part in enumerate(location) if not (depth == 2 and location[0] == "fields"))
    if detail["type"] == "extra_forbidden":
        known = list(_allowed_keys(location[:-1]))
        near = difflib.get_close_matches(location[-1], known, n=1, cutoff=0.5) or _nearest_elsewhere(location[-1])
        hint = f"did you mean {near[0]}?" if near else f"allowed: {', '.join(known)}"
        return f"{path}: {key}: unknown key; {hint}"
    if detail["type"] == "missing":
        return f"{path}: {key}: required and not found; add it"
    message = detail["msg"].removeprefix("Value error, ")
    if not key:
        return f"{path}: {message}"
    if detail["type"] == "value_error":
        return f"{path}: {key}: {message}"
    return f"{path}: {key}: found {_short(detail['input'])}; {message[0].lower() + message[1:]}"


def _short(value: Any) -> str:
    """A value as in the settings, cut: a few lines of YAML can stand for millions."""
    text = _REPR.repr(value)
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}..."


def _allowed_keys(location: Iterable[str]) -> Iterable[str]:
    """Keys that the tree allows at `location`; positions in a list are skipped."""
    sections: list[type[BaseModel]] = [Settings]
    for part in location:
        if part.isdigit():
            continue
        if len(sections) > 1:  # the part names one of several kinds of field
            sections = [section for section in sections if kind_of(section) == part]
        else:
            key = sections[0].model_fields.get(part)
            sections = sections_of(key.annotation) if key else sections  # otherwise the name of an entry
        if not sections:
            return ()
    return [key for section in sections for key in section.model_fields]


def _nearest_elsewhere(name: str) -> list[str]:
    """The nearest full key of any section, for a key that was put into the wrong one."""
    paths = {
        key: f"{section}.{key}"
        for section, info in Settings.model_fields.items()
        for inner in sections_of(info.annotation)
        for key in inner.model_fields
    }
    return [paths[match] for match in difflib.get_close_matches(name, paths, n=1, cutoff=0.8)]
