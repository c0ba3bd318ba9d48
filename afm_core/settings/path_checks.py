"""Inputs and outputs of one settings file must not overlap: an output replaces the folder that it is published to."""

import os
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

from afm_core.settings.tree import Settings
from afm_core.storage.paths import is_local


def path_problems(settings: Settings) -> Iterator[str]:
    """One line for each output that overlaps with an input or with another output.

    Paths are compared as text; nothing is opened, and a link is not followed.
    """
    outputs = [(key, path) for key, path in _outputs(settings) if is_local(path)]
    pairs = [(output, source) for output in outputs for source in _inputs(settings)]
    for (key, path), (other_key, other) in (*pairs, *combinations(outputs, 2)):
        relation = _relation(path, other)
        if relation:
            yield f"{key}: {path} {relation} {other_key} ({other}), and publishing replaces a folder; name another one"


def _inputs(settings: Settings) -> Iterator[tuple[str, Path]]:
    if settings.logs.format != "table":
        yield "logs.path", settings.logs.path
    if settings.score:
        yield "score.logs", settings.score.logs
    if settings.recommend.items:
        yield "recommend.items", settings.recommend.items


def _outputs(settings: Settings) -> Iterator[tuple[str, Path]]:
    """Folders that are replaced as a whole, or night by night."""
    yield "dataset.path", settings.dataset.path
    run = settings.run
    for path in (run.bundle, run.warm_start_bundle, run.current, run.checkpoints):
        yield f"run.path's {path.name}", path
    if settings.score:
        yield "score.path", settings.score.path
        yield "recommend.path", settings.recommendations_path


def _relation(path: Path, other: Path) -> str | None:
    """How `path` overlaps with `other`, which may be a pattern; None where it does not."""
    one, two = (Path(os.path.abspath(each)) for each in (path, other))  # noqa: PTH100 - removes `..`, follows no link
    if one == two:
        return "is the same folder as"
    if two in one.parents:
        return "lies inside"
    return "contains" if one in two.parents else None
