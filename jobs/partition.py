"""Write raw logs as Parquet in dt=YYYY-MM-DD folders, one for each day of a column, as nights and date ranges are read.

Only the columns that the settings name are written, as text. Afterwards logs.path (with logs.format: parquet) and
score.logs can name the folder.
"""

import argparse
from collections.abc import Sequence

from pydantic import TypeAdapter, ValidationError

from afm_core.errors import SettingsError
from afm_core.features.declaration_types import TimeFormat
from afm_core.settings import Settings
from afm_core.settings.path_checks import overlap
from jobs._command import parser, path_or_url, run
from pipelines.console import facts, screen
from pipelines.logs.partitioning import partition_logs
from pipelines.spark import spark_session
from pipelines.submission import require_lasting_paths

SECTIONS = ("logs", "fields", "label", "split")


def _time_format(text: str) -> str:
    try:
        return TypeAdapter[str](TimeFormat).validate_python(text)
    except ValidationError as error:
        raise argparse.ArgumentTypeError(error.errors()[0]["msg"]) from error


def main(argv: Sequence[str] | None = None) -> None:
    """Run the job."""
    example = "spark-submit jobs/partition.py --config conf/shop.yaml --by shown_at --out data/shop_by_day"
    command = parser(__doc__, example, SECTIONS)
    command.add_argument("--by", required=True, metavar="COLUMN", help="column of the logs with the date or timestamp")
    command.add_argument(
        "--format",
        type=_time_format,
        metavar="FORMAT",
        help="format of that column, as format of a time field (default: ISO 8601)",
    )
    command.add_argument(
        "--out", type=path_or_url, required=True, metavar="DIR", help="folder that is written, or replaced as a whole"
    )
    run(command, job, argv)


def job(settings: Settings, arguments: argparse.Namespace) -> None:
    """Write the folders and print what they hold."""
    require_lasting_paths(settings, ("--out", arguments.out))
    inputs = [("logs.path", path) for path in settings.logs.paths if settings.logs.format != "table"]
    problems = [overlap("--out", arguments.out, key, path) for key, path in inputs]
    if any(problems):
        raise SettingsError(list(filter(None, problems)))
    if arguments.dry_run:
        plan = [("read", f"{settings.logs.where} ({settings.logs.format})"), ("by", arguments.by)]
        screen.print(facts(f"would partition {settings.name}", [*plan, ("write", str(arguments.out))]))
        return
    with spark_session(f"partition {settings.name}", settings.run.work / "spark.log") as spark:
        done = partition_logs(spark, settings, arguments.by, arguments.format, arguments.out)
    reasons = ", ".join(f"{reason} {rows:,}" for reason, rows in done.rejected.items())
    rejected = sum(done.rejected.values())
    days = list(done.days)
    screen.print(
        facts(
            f"partitioned {settings.name}",
            [
                ("rows in", f"{done.rows_in:,}"),
                ("rejected", f"{rejected:,}" + (f"  ({reasons})" if rejected else "")),
                ("days", f"{len(days):,}" + (f"  ({days[0]} to {days[-1]})" if days else "")),
                ("folder", str(arguments.out)),
            ],
        )
    )


if __name__ == "__main__":
    main()
