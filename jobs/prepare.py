"""Turn raw logs into a dataset: check, fit the feature map, encode, draw negatives, split, shuffle, write Parquet."""

import argparse
from collections.abc import Sequence

from afm_core.settings import Settings
from jobs._command import parser, path_or_url, run
from pipelines.console import screen
from pipelines.logs.log_columns import LogColumns
from pipelines.preparation.dataset_freshness import up_to_date
from pipelines.preparation.fit_logs import fit_logs
from pipelines.preparation.prepare import prepare
from pipelines.preparation.prepare_report import encoding_table, manifest_table, plan_table
from pipelines.spark_on_demand import spark_on_demand
from pipelines.spark_stages import Stages

SECTIONS = ("seed", "logs", "fields", "label", "negatives", "split", "dataset")


def main(argv: Sequence[str] | None = None) -> None:
    """Run the job."""
    command = parser(__doc__, "spark-submit jobs/prepare.py --config conf/demo.yaml", SECTIONS)
    command.add_argument(
        "--extend",
        type=path_or_url,
        metavar="MAP",
        help="feature table (features.parquet) to extend: its ids stay, new values get the ids after them",
    )
    command.add_argument(
        "--explain", action="store_true", help="fit the feature map, print how each field is encoded, and stop"
    )
    command.add_argument("--force", action="store_true", help="prepare even if the dataset is up to date")
    run(command, job, argv)


def job(settings: Settings, arguments: argparse.Namespace) -> None:
    """Prepare the dataset and print its manifest."""
    if arguments.dry_run:
        screen.print(plan_table(settings, arguments.extend))
        return
    with spark_on_demand(f"prepare {settings.name}", settings.run.work / "spark.log") as spark:
        manifest = None if arguments.force or arguments.explain else up_to_date(settings, spark, arguments.extend)
        if manifest is not None:
            screen.print(f"{settings.dataset.path} is up to date with its logs and settings; --force prepares it again")
            return
        if arguments.explain:
            columns = LogColumns.of(settings, labelled=True)
            fitted = fit_logs(spark(), settings, columns, Stages(spark()), arguments.extend)
            screen.print(encoding_table(fitted.map.feature_map))
            return
        manifest = prepare(spark(), settings, arguments.extend)
    screen.print(manifest_table(settings, manifest))


if __name__ == "__main__":
    main()
