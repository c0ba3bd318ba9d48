"""How damaged logs are written down: files, and what must become of them."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

GOOD = ("u9", "a9")
MALFORMED = ("malformed", None)
ONE_MB = "x" * (1 << 20)
TAGS = ["user", "app", {"name": "tags", "kind": "tags"}]
PRICE = ["user", "app", {"name": "price", "kind": "numeric"}]
HOUR = ["user", "app", {"name": "hour", "kind": "time", "of": "ts", "part": "hour"}]
NUMBERS = ["user", {"name": "app", "type": "integer"}]


@dataclass(frozen=True)
class Case:
    """Files below `logs/`, and what must become of them: the accepted and the rejected rows, or an error."""

    files: Mapping[str, Any]
    """Text or bytes of a csv file (or of whatever `logs` says), or a table to write as Parquet."""
    accepted: list[tuple] = field(default_factory=list)
    rejected: list[tuple[str, str | None]] = field(default_factory=list)
    error: str = ""
    logs: Mapping[str, Any] = field(default_factory=dict)
    fields: list = field(default_factory=lambda: ["user", "app"])
    label: Mapping[str, Any] = field(default_factory=dict)
    meanwhile: Callable[[Path], None] | None = None
    """What happens to the folder after the files are listed and before they are read."""


def csv(text: str | bytes, *accepted: tuple, **rest: Any) -> Case:
    return Case({"a.csv": text}, list(accepted), **rest)


def json_lines(*lines: object, **rest: Any) -> Case:
    text = "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines)
    return Case({"a.json": text}, logs={"format": "json"}, **rest)


def parquet(*tables: dict[str, Any], **rest: Any) -> Case:
    return Case(
        {f"{at}.parquet": pa.table(table) for at, table in enumerate(tables)}, **rest, logs={"format": "parquet"}
    )


def log(tags: object = None, **values: object) -> dict[str, object]:
    return {"user": "u1", "app": "a1", **({} if tags is None else {"tags": tags}), **values}


def values(column: str, *texts: str) -> str:
    return f"user,app,{column}\n" + "".join(f"u{at},a,{text}\n" for at, text in enumerate(texts))
