"""Search for better settings of the models of a comparison, judged on the validation split, never on test."""

import argparse
from collections.abc import Sequence

from afm_core.settings import Settings
from jobs._command import parser, run, whole_number_from
from pipelines.console import screen
from pipelines.experiments.search import search
from pipelines.experiments.search_report import plan_table, search_table
from pipelines.training.communicator import Communicator
from pipelines.training.launcher import run_on_ranks

SECTIONS = ("seed", "dataset", "model", "train", "run", "compare", "search")


def main(argv: Sequence[str] | None = None) -> None:
    """Run the job."""
    command = parser(__doc__, "python jobs/search.py --config conf/frappe.yaml --minutes 30", SECTIONS)
    command.add_argument("--minutes", type=whole_number_from(1), help="begin no further trial after this time")
    run(command, job, argv)


def job(settings: Settings, arguments: argparse.Namespace) -> None:
    """Run the search and print the best trial of each model."""
    if arguments.dry_run:
        screen.print(plan_table(settings))
        return

    def work(ranks: Communicator, _: bool) -> None:
        trials = search(settings, ranks, arguments.minutes)
        if ranks.rank == 0:
            screen.print(search_table(settings, trials))

    run_on_ranks(settings, work)


if __name__ == "__main__":
    main()
