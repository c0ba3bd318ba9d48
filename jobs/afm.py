"""One command for all jobs: `afm train --config ...` is `python jobs/train.py --config ...`."""

import ast
import difflib
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

COMMANDS = (
    "doctor",
    "schema",
    "simulate-logs",
    "partition",
    "prepare",
    "train",
    "evaluate",
    "compare",
    "search",
    "score",
    "recommend",
    "predict",
    "promote",
    "export",
)
"""In the order in which people need them; each is a module of `jobs` with a function `main`."""


def main(argv: Sequence[str] | None = None) -> None:
    """Run the job that the first argument names, with the other arguments."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    name = arguments.pop(0) if arguments else "--help"
    if name in ("-h", "--help"):
        print(_help())
        return
    if name not in COMMANDS:
        near = difflib.get_close_matches(name, COMMANDS, 1)
        meant = f"; did you mean {near[0]}?" if near else ""
        print(f"error: afm {name}: no such command{meant}; allowed are {', '.join(COMMANDS)}", file=sys.stderr)
        sys.exit(2)
    sys.argv[0] = f"afm {name}"  # argparse names the program after it
    import_module(f"jobs.{_module(name)}").main(arguments)


def _help() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {_summary(name)}" for name in COMMANDS]
    return "\n".join(["usage: afm COMMAND ...", "", *lines, "", "afm COMMAND --help explains one."])


def _module(name: str) -> str:
    return name.replace("-", "_")


def _summary(name: str) -> str:
    """The first line of the job's docstring. The module is not imported: some need packages that others do not."""
    spec = find_spec(f"jobs.{_module(name)}")
    assert spec is not None
    assert spec.origin is not None
    docstring = ast.get_docstring(ast.parse(Path(spec.origin).read_text(encoding="utf-8"))) or ""
    return docstring.splitlines()[0]


if __name__ == "__main__":
    main()
