"""Score nights of logs with a bundle. Each night is published whole or not at all; running it again replaces it."""

import argparse
from collections.abc import Sequence
from datetime import date

from afm_core.errors import AfmError, FailedNightsError, NothingToDoError
from afm_core.settings import Settings
from jobs._command import parser, run
from pipelines.console import screen
from pipelines.recommendation.recommend import recommend
from pipelines.recommendation.recommend_report import best_items_table
from pipelines.scoring.night_dates import missing_nights, nights_between
from pipelines.scoring.run import score_nights
from pipelines.scoring.score_report import nights_table, plan_table
from pipelines.spark import spark_session

SECTIONS = ("logs", "fields", "negatives", "run", "score")


def main(argv: Sequence[str] | None = None) -> None:
    """Run the job."""
    command = parser(__doc__, "spark-submit jobs/score.py --config conf/demo.yaml --date 2026-01-15", SECTIONS)
    day, like = date.fromisoformat, "YYYY-MM-DD"
    which = command.add_mutually_exclusive_group(required=True)
    which.add_argument("--date", type=day, metavar=like, help="the night to score")
    which.add_argument(
        "--from",
        dest="first",
        type=day,
        metavar=like,
        help="the first of several nights; needs --to. Nights that are published and would be the same are left alone",
    )
    which.add_argument("--missing", type=int, metavar="N", help="nights of the last N with logs but no scores")
    command.add_argument("--to", dest="last", type=day, metavar=like, help="the last of several nights")
    command.add_argument(
        "--explain", type=int, default=0, metavar="K", help="add the K most weighted interactions to each row (afm)"
    )
    command.add_argument(
        "--candidates",
        type=int,
        metavar="K",
        help="instead, find the K best items for each user of the nights",
    )
    run(command, job, argv)


def job(settings: Settings, arguments: argparse.Namespace) -> None:
    """Score the nights and show what was published."""
    nights = _nights(settings, arguments)
    if arguments.dry_run:
        screen.print(plan_table(settings, nights))
        return
    if not nights:
        raise NothingToDoError(f"nothing to do: no night of the last {arguments.missing} lacks scores")
    with spark_session(f"score {settings.name}", settings.run.path / "spark.log") as spark:
        if arguments.candidates:
            found = [recommend(spark, settings, night, arguments.candidates) for night in nights]
            screen.print(best_items_table(settings, found))
            return
        outcomes = score_nights(spark, settings, nights, arguments.explain, again=arguments.first is None)
    errors = [outcome.error for outcome in outcomes if outcome.error]
    if len(errors) < len(outcomes):
        screen.print(nights_table(settings, outcomes))
    if errors:
        raise FailedNightsError(errors)
    if all(outcome.skipped for outcome in outcomes):
        raise NothingToDoError("nothing to do: logs, settings, software and model of all nights are as they were")


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"found {text!r}, allowed are whole numbers from 1")
    return int(text)


def _nights(settings: Settings, arguments: argparse.Namespace) -> list[date]:
    if (arguments.first is None) != (arguments.last is None):
        raise AfmError("--from and --to name the first and the last night; give both")
    if arguments.missing is not None:
        published = settings.recommendations_path if arguments.candidates else settings.nightly.path
        return missing_nights(settings.nightly.logs, published, arguments.missing)
    if arguments.date is not None:
        return [arguments.date]
    nights = nights_between(arguments.first, arguments.last)
    if not nights:
        raise AfmError(f"--from {arguments.first} --to {arguments.last}: the last night is before the first")
    return nights


if __name__ == "__main__":
    main()
