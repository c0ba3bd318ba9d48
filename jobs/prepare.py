"""Turn raw logs into a dataset: check, fit the feature map, encode, draw negatives, split, shuffle, write Parquet."""

import argparse

from afm_core.settings import Settings
from jobs._command import parser, run
from pipelines.console import screen
from pipelines.preparation.job import prepare
from pipelines.preparation.report import manifest_table, plan_table
from pipelines.spark import spark_session

SECTIONS = ("seed", "logs", "fields", "negatives", "split", "dataset")


def main() -> None:
    """Run the job."""
    run(parser(__doc__, "spark-submit jobs/prepare.py --config conf/demo.yaml", SECTIONS), job)


def job(settings: Settings, arguments: argparse.Namespace) -> None:
    """Prepare and show the manifest."""
    if arguments.dry_run:
        screen.print(plan_table(settings))
        return
    with spark_session(f"prepare {settings.name}", settings.run.path / "spark.log") as spark:
        manifest = prepare(spark, settings)
    screen.print(manifest_table(settings, manifest))


if __name__ == "__main__":
    main()
