"""Where logs lie: local paths, or URLs that Spark reads with its own connectors."""

import re
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import unquote

from pydantic import PlainSerializer, PlainValidator, WithJsonSchema

from afm_core.storage.urls import ALLOWED, Url

Location = Path | Url
_FILE = "file://"
_WITHOUT_SLASHES = re.compile(r"[A-Za-z][\w+.-]+:/(?!/)")  # `file:/logs`, as Hadoop prints it: no folder named `file:`


def to_location(value: Any) -> Location:
    """A local path, also for a `file://` URL; for any other URL a `Url`.

    Raises:
        ValueError: the URL's scheme is unsupported, it names no bucket or host, or the value is no text.
    """
    if isinstance(value, Path | Url):
        return value
    if not isinstance(value, str) or _WITHOUT_SLASHES.match(value):
        raise ValueError(f"found {value!r}, allowed are local paths and URLs of {ALLOWED}, with :// after the scheme")
    return local_path(value) if is_file_url(value) or "://" not in value else Url.parse(value)


LocationSetting = Annotated[
    Location, PlainValidator(to_location), PlainSerializer(str), WithJsonSchema({"type": "string"})
]
"""A location in the settings."""
LocationsSetting = Annotated[
    Location | tuple[Location, ...],
    PlainValidator(lambda value: _to_locations(value)),
    PlainSerializer(lambda value: [str(each) for each in value] if isinstance(value, tuple) else str(value)),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}),
]
"""A location in the settings, or a list of them."""


def _to_locations(value: Any) -> Location | tuple[Location, ...]:
    """One location, or those of a list; a list of one is that one.

    Raises:
        ValueError: as `to_location`; the list is empty, or names a location twice.
    """
    if not isinstance(value, list | tuple):
        return to_location(value)
    locations = tuple(map(to_location, value))
    if not locations:
        raise ValueError("found an empty list, allowed is a path, or a list of paths")
    repeated = [str(each) for each in locations if locations.count(each) > 1]
    if repeated:
        raise ValueError(f"{repeated[0]} is named twice; its rows would be counted twice")
    return locations if len(locations) > 1 else locations[0]


def is_file_url(text: str) -> bool:
    """Whether a text is a URL of a local file or folder."""
    return text.lower().startswith(_FILE)


def local_path(text: str) -> Path:
    """The path that a text or a `file://` URL names. Unlike `urlsplit`, this keeps the `?` of a pattern.

    Raises:
        ValueError: the URL names another host.
    """
    if not is_file_url(text):
        return Path(text)
    host, _, path = text[len(_FILE) :].partition("/")
    if host not in ("", "localhost"):
        raise ValueError(f"found {text!r}, allowed is file:///PATH, with three slashes")
    return Path(unquote(f"/{path}"))
