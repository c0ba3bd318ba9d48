"""Evaluate a run's models on the test split, and write a report to look at: errors, ranking, calibration, attention."""

import argparse
from collections.abc import Sequence

from afm_core.settings import Settings
from jobs._command import parser, run
from pipelines.console import screen
from pipelines.evaluation.evaluate_report import attention_table, metrics_table, plan_table
from pipelines.evaluation.report.report import evaluate_and_report

SECTIONS = ("dataset", "evaluate", "run")


def main(argv: Sequence[str] | None = None) -> None:
    """Run the job."""
    run(parser(__doc__, "python jobs/evaluate.py --config conf/demo.yaml", SECTIONS), job, argv)


def job(settings: Settings, arguments: argparse.Namespace) -> None:
    """Evaluate the models and print the tables."""
    if arguments.dry_run:
        screen.print(plan_table(settings))
        return
    evaluation, report = evaluate_and_report(settings)
    screen.print(metrics_table(settings, evaluation))
    if evaluation.attention:
        screen.print(attention_table(evaluation))
    screen.print(f"wrote {report}", soft_wrap=True)


if __name__ == "__main__":
    main()
