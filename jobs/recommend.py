"""Recommend items: the K best items for every user of a night, in the context of the user's latest event."""

import argparse
from collections.abc import Sequence

from afm_core.settings import Settings
from jobs._command import parser, run, whole_number_from
from jobs._nights import add_night_options, raise_errors, requested_nights, require_any
from pipelines.console import screen
from pipelines.recommendation.items import user_and_item
from pipelines.recommendation.recommend import Recommending
from pipelines.recommendation.recommend_report import plan_table, recommendations_table
from pipelines.scoring.run import run_nights
from pipelines.spark_on_demand import spark_on_demand

SECTIONS = ("logs", "fields", "negatives", "run", "score", "recommend")


def main(argv: Sequence[str] | None = None) -> None:
    """Run the job."""
    example = "spark-submit jobs/recommend.py --config conf/demo.yaml --date 2026-01-15 --k 10"
    command = parser(__doc__, example, SECTIONS)
    add_night_options(command)
    command.add_argument("--k", type=whole_number_from(1), required=True, metavar="K", help="items per user")
    run(command, job, argv)


def job(settings: Settings, arguments: argparse.Namespace) -> None:
    """Find the items and report what was published."""
    user_and_item(settings)
    with spark_on_demand(f"recommend {settings.name}", settings.run.work / "spark.log") as spark:
        task = Recommending(settings, arguments.k, spark)
        nights = requested_nights(settings, arguments, task, spark)
        if arguments.dry_run:
            screen.print(plan_table(settings, nights, arguments.k))
            return
        require_any(nights, arguments)
        outcomes = run_nights(spark(), settings, nights, task, skip_up_to_date=arguments.first is not None)
    if any(outcome.manifest for outcome in outcomes):
        screen.print(recommendations_table(settings, outcomes))
    raise_errors(outcomes)


if __name__ == "__main__":
    main()
