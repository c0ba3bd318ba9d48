"""Score a file of raw rows with a bundle, without Spark; the scores are those of a night, bit for bit."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from jobs._command import bare_parser, one_line_exits, path_or_url
from pipelines.console import facts, messages
from pipelines.predicting import predict_file


def main(argv: Sequence[str] | None = None) -> None:
    """Run the job."""
    command = bare_parser(__doc__, "python jobs/predict.py --bundle runs/demo/bundle rows.csv --out scores.csv")
    command.add_argument("rows", type=Path, metavar="ROWS", help="CSV, TSV, JSON lines (.json, .jsonl) or Parquet")
    command.add_argument(
        "--bundle", type=path_or_url, required=True, metavar="BUNDLE", help="path or URL of the bundle"
    )
    command.add_argument("--out", type=Path, metavar="FILE", help="CSV file to write; default: standard output")
    arguments = command.parse_args(argv)
    with one_line_exits():
        _predict(arguments)


def _predict(arguments: argparse.Namespace) -> None:
    counts = predict_file(arguments.bundle, arguments.rows, arguments.out)
    rejected = [(f"rejected: {rule}", f"{rows:,}") for rule, rows in sorted(counts.rejected.items())]
    rows = [("rows", f"{counts.rows:,}"), *rejected, ("rows per second", f"{counts.rows / counts.seconds:,.0f}")]
    files = [("rows of", str(arguments.rows)), ("scores", str(arguments.out or "standard output"))]
    messages.print(facts("scored without Spark", [*rows, *files]))
    sys.stdout.flush()


if __name__ == "__main__":
    main()
