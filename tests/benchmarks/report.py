"""What the benchmarks write: the machine, and tables, as Markdown and JSON."""

import json
import os
import platform
from pathlib import Path
from typing import NamedTuple

import torch

from pipelines.console import columns, screen


class Table(NamedTuple):
    """A title, a header and rows of text."""

    title: str
    header: list[str]
    rows: list[list[str]]


def machine() -> str:
    """What the figures depend on."""
    python = platform.python_version()
    return f"{os.cpu_count()} cores, {platform.machine()}, torch {torch.__version__}, Python {python}"


def write_report(out: Path, name: str, title: str, tables: list[Table]) -> None:
    """Show the tables, and write them to NAME.md and NAME.json below `out`."""
    text = [f"# {title}", "", machine(), ""]
    for table in tables:
        text += [f"## {table.title}", "", "| " + " | ".join(table.header) + " |"]
        text += ["| --- |" + " ---: |" * (len(table.header) - 1)]
        text += [*("| " + " | ".join(row) + " |" for row in table.rows), ""]
        screen.print(columns(*table))
    out.mkdir(parents=True, exist_ok=True)
    (out / f"{name}.md").write_text("\n".join(text), encoding="utf-8")
    content = {"machine": machine(), "tables": [table._asdict() for table in tables]}
    (out / f"{name}.json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
