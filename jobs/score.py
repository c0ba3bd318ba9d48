"""Score one night of logs with a bundle. Running a night again replaces its scores whole."""

import argparse
from datetime import date

from afm_core.settings import Settings
from jobs._command import parser, run
from pipelines.console import screen
from pipelines.scoring.job import score_night
from pipelines.scoring.report import night_table, plan_table
from pipelines.spark import spark_session

SECTIONS = ("logs", "fields", "run", "score")


def main() -> None:
    """Run the job."""
    made = parser(__doc__, "spark-submit jobs/score.py --config conf/demo.yaml --date 2026-01-15", SECTIONS)
    made.add_argument("--date", type=date.fromisoformat, required=True, metavar="YYYY-MM-DD", help="the night to score")
    run(made, job)


def job(settings: Settings, arguments: argparse.Namespace) -> None:
    """Score the night and show what was published."""
    if arguments.dry_run:
        screen.print(plan_table(settings, arguments.date))
        return
    with spark_session(f"score {settings.name} {arguments.date}", settings.run.path / "spark.log") as spark:
        manifest = score_night(spark, settings, arguments.date)
    screen.print(night_table(settings, manifest))


if __name__ == "__main__":
    main()
