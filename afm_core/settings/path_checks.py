"""Inputs and outputs of one settings file must not overlap: an output replaces the folder that it is published to."""

import os
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

from afm_core.settings.tree import Settings
from afm_core.storage.locations import Location
from afm_core.storage.paths import require_client
from afm_core.storage.places import versions_of
from afm_core.storage.urls import Url


def path_problems(settings: Settings) -> Iterator[str]:
    """One line for each output that overlaps with an input or with another output.

    Paths and URLs are compared as text; nothing is opened, and a link is not followed.
    """
    outputs = list(_outputs(settings))
    pairs = [(output, source) for output in outputs for source in _inputs(settings)]
    for (key, path), (other_key, other) in (*pairs, *combinations(outputs, 2)):
        problem = overlap(key, path, other_key, other)
        if problem:
            yield problem


def overlap(key: str, path: Location, other_key: str, other: Location) -> str | None:
    """One line where an output overlaps with an input, or with another output."""
    relation = _relation(path, other)
    if relation is None:
        return None
    return f"{key}: {path} {relation} {other_key} ({other}), and publishing replaces a folder; name another one"


def client_problems(settings: Settings) -> Iterator[str]:
    """One line for each remote dataset, run or bundle for which a package is missing. No connection is opened."""
    warm = settings.train.warm_start
    paths = {
        "dataset.path": settings.dataset.path,
        "run.path": settings.run.path,
        "score.bundle": settings.score.bundle if settings.score else None,
        "train.warm_start.bundle": warm.bundle if warm else None,
    }
    for key, path in paths.items():
        try:
            if path:
                require_client(path)
        except ValueError as error:
            yield f"{key}: {error}"


def _inputs(settings: Settings) -> Iterator[tuple[str, Location]]:
    if settings.logs.format != "table":
        yield from (("logs.path", path) for path in settings.logs.paths)
    for join in settings.logs.join:
        if join.format != "table":
            yield from (("logs.join", path) for path in join.paths)
    if settings.score:
        yield "score.logs", settings.score.logs
    if settings.recommend.items:
        yield "recommend.items", settings.recommend.items


def _outputs(settings: Settings) -> Iterator[tuple[str, Location]]:
    """What is published, each with the folder of its versions, and the checkpoints."""
    for key, path in _published(settings):
        yield key, path
        if not isinstance(path, Url):  # a Delta table keeps its versions itself
            yield f"{key} (its versions)", versions_of(path)
    yield "run.path's checkpoints", settings.run.checkpoints


def _published(settings: Settings) -> Iterator[tuple[str, Location]]:
    yield "dataset.path", settings.dataset.path
    run = settings.run
    for path in (run.bundle, run.warm_start_bundle, run.current):
        yield f"run.path's {path.name}", path
    if settings.score:
        yield "score.path", settings.score.path
        yield "recommend.path", settings.recommendations_path


def _relation(path: Location, other: Location) -> str | None:
    """How `path` overlaps with `other`, which may be a pattern; None where it does not."""
    one, two = map(_names, (path, other))
    if one == two:
        return "is the same folder as"
    if one[: len(two)] == two:
        return "lies inside"
    return "contains" if two[: len(one)] == one else None


def _names(path: Location) -> tuple[str, ...]:
    """The store, then the folders from its root on, of a path, a URL, or the `UPath` of one."""
    if isinstance(path, Path):
        return ("", *Path(os.path.abspath(path)).parts)  # noqa: PTH100 - removes `..`, follows no link
    url = path if isinstance(path, Url) else Url.parse(str(path))
    return (url.scheme, url.authority, *url.parts)
