"""A report as HTML. Every value is escaped: those of logs may be anything."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Literal

from jinja2 import Environment, select_autoescape

from pipelines.console import printable

Mark = Literal["", "good", "doubtful", "bad"]


@dataclass(frozen=True)
class Cell:
    """A cell of a table that is more than text."""

    text: str
    link: str = ""
    """To an anchor of the page."""
    mark: Mark = ""
    """How it is coloured; the text must say the same."""


@dataclass(frozen=True)
class TableOf:
    """A table; the first column names the rows."""

    caption: str
    heads: Sequence[str]
    rows: Sequence[Sequence[str | Cell]]
    folded: bool = False
    """Whether it is shown only on demand, such as the numbers of a figure."""


@dataclass(frozen=True)
class Section:
    """A section of a page."""

    title: str
    text: str = ""
    figures: Sequence[str] = ()
    """SVG, made by `figures`."""
    tables: Sequence[TableOf] = field(default_factory=tuple)
    code: str = ""
    anchor: str = ""
    """What a link `#anchor` leads to."""


def page(title: str, summary: str, sections: Sequence[Section]) -> str:
    """The whole file."""
    environment = Environment(autoescape=select_autoescape(default=True, default_for_string=True))
    environment.finalize = _shown
    template = environment.from_string(files(__package__).joinpath("page.html.jinja").read_text(encoding="utf-8"))
    return template.render(title=title, summary=summary, sections=sections)


def _shown(value: object) -> object:
    """Text without control characters; line ends stay, for settings."""
    if type(value) is not str:
        return value
    return "\n".join(printable(line) for line in value.split("\n"))
