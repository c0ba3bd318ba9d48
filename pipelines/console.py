"""Consoles for results and progress, tables and bars."""

import sys
from typing import Any

from rich.console import Console
from rich.table import Table

from afm_core.redaction import without_secrets

_WIDTH_WITHOUT_TERMINAL = 120


class _Messages(Console):
    """Prints messages without the credentials in what they quote of other software; in files, a message is one line."""

    def print(self, *objects: Any, **options: Any) -> None:
        """See `Console.print`."""
        if not self.is_terminal and all(isinstance(shown, str) for shown in objects):
            options.setdefault("soft_wrap", True)  # a wrapped message cannot be searched for
        super().print(*(without_secrets(shown) if isinstance(shown, str) else shown for shown in objects), **options)


# Markup is off: text from the logs, such as `[link=...]`, is shown as it is.
screen = Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else _WIDTH_WITHOUT_TERMINAL)
"""Where results are printed."""
messages = _Messages(
    stderr=True, highlight=False, markup=False, width=None if sys.stderr.isatty() else _WIDTH_WITHOUT_TERMINAL
)
"""Where progress and messages are printed."""

_EIGHTHS = " ▏▎▍▌▋▊▉█"


def bar(share: float, width: int = 20) -> str:
    """A horizontal bar whose length is `share` (0 to 1) of `width` characters."""
    eighths = round(min(max(share, 0.0), 1.0) * width * 8)
    return ("█" * (eighths // 8) + _EIGHTHS[eighths % 8]).rstrip()


def printable(text: str) -> str:
    """`text` with control characters and those that turn the direction of writing as codes such as `\\x1b`.

    Values of logs reach the terminal, which would obey them.
    """
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in text
    )


def facts(title: str, rows: list[tuple[str, str]]) -> Table:
    """A table of names and values without a header."""
    table = _table(title, show_header=False)
    table.add_column(style="dim", min_width=22)
    table.add_column()
    for name, value in rows:
        table.add_row(printable(name), printable(value))
    return table


def columns(title: str, header: list[str], rows: list[list[str]]) -> Table:
    """A table with a header. All columns but the first are right-aligned, except those without a name."""
    table = _table(title, header_style="dim")
    for position, name in enumerate(header):
        table.add_column(name, justify="right" if position and name else "left")
    for row in rows:
        table.add_row(*map(printable, row))
    return table


def _table(title: str, **options: Any) -> Table:
    return Table(title=printable(title), title_justify="left", title_style="bold", box=None, pad_edge=False, **options)
