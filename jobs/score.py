"""Score nights of logs with a bundle. Each night is published as a whole or not at all; another run replaces it."""

import argparse
from collections.abc import Sequence

from afm_core.settings import Settings
from jobs._command import parser, run, whole_number_from
from jobs._nights import add_night_options, raise_errors, requested_nights, require_any
from pipelines.console import screen
from pipelines.scoring.night import NightScoring
from pipelines.scoring.run import run_nights
from pipelines.scoring.score_report import nights_table, plan_table
from pipelines.spark_on_demand import spark_on_demand

SECTIONS = ("logs", "fields", "run", "score")


def main(argv: Sequence[str] | None = None) -> None:
    """Run the job."""
    command = parser(__doc__, "spark-submit jobs/score.py --config conf/demo.yaml --date 2026-01-15", SECTIONS)
    add_night_options(command)
    command.add_argument(
        "--explain",
        type=whole_number_from(0),
        default=0,
        metavar="K",
        help="add the K most weighted interactions to each row (afm)",
    )
    run(command, job, argv)


def job(settings: Settings, arguments: argparse.Namespace) -> None:
    """Score the nights and report what was published."""
    task = NightScoring(settings, arguments.explain)
    with spark_on_demand(f"score {settings.name}", settings.run.work / "spark.log") as spark:
        nights = requested_nights(settings, arguments, task, spark)
        if arguments.dry_run:
            screen.print(plan_table(settings, nights))
            return
        require_any(nights, arguments)
        outcomes = run_nights(spark(), settings, nights, task, skip_up_to_date=arguments.first is not None)
    if any(outcome.manifest for outcome in outcomes):
        screen.print(nights_table(settings, outcomes))
    raise_errors(outcomes)


if __name__ == "__main__":
    main()
