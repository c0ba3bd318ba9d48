"""Train the models of the settings on one dataset, evaluate each on the test split, and show them side by side."""

import argparse

from afm_core.settings import Settings
from jobs._command import parser, run
from pipelines.comparison.job import compare
from pipelines.comparison.report import comparison_table, plan_table, write_comparison
from pipelines.console import screen
from pipelines.training.communicator import communicator

SECTIONS = ("seed", "dataset", "model", "train", "run", "compare")


def main() -> None:
    """Run the job."""
    run(parser(__doc__, "python jobs/compare.py --config conf/frappe.yaml", SECTIONS), job)


def job(settings: Settings, arguments: argparse.Namespace) -> None:
    """Compare and show the table."""
    if arguments.dry_run:
        screen.print(plan_table(settings))
        return
    ranks = communicator()
    results = compare(settings, ranks)
    if ranks.rank == 0:
        screen.print(comparison_table(results))
        screen.print(f"wrote {write_comparison(results, settings)} and .json")


if __name__ == "__main__":
    main()
