"""Train several models on one dataset, evaluate each on the test split, and print and plot the results."""

import argparse
from collections.abc import Sequence

from afm_core.settings import Settings
from jobs._command import parser, run
from pipelines.console import screen
from pipelines.experiments.compare import compare, run_study
from pipelines.experiments.compare_plots import plot_convergence, plot_models, plot_study
from pipelines.experiments.compare_report import comparison_table, plan_table, write_comparison
from pipelines.training.communicator import Communicator, on_ranks

SECTIONS = ("seed", "dataset", "model", "train", "run", "compare", "seeds", "studies")


def main(argv: Sequence[str] | None = None) -> None:
    """Run the job."""
    command = parser(__doc__, "python jobs/compare.py --config conf/frappe.yaml", SECTIONS)
    command.add_argument(
        "--studies", action="store_true", help="also train the points of the settings' studies and plot them"
    )
    run(command, job, argv)


def job(settings: Settings, arguments: argparse.Namespace) -> None:
    """Compare the models, print the table and write the plots."""
    if arguments.dry_run:
        screen.print(plan_table(settings, arguments.studies))
        return

    def work(ranks: Communicator, _: bool) -> None:
        results = compare(settings, ranks)
        if ranks.rank == 0:
            screen.print(comparison_table(results, settings))
            screen.print(f"wrote {write_comparison(results, settings)} and .json")
            screen.print(f"wrote {plot_models(results, settings)} and {plot_convergence(results, settings).name}")
        for name, study in settings.studies.items() if arguments.studies else ():
            points = run_study(settings, study, ranks)
            if ranks.rank == 0:
                screen.print(f"wrote {plot_study(name, study, points, settings)}")

    on_ranks(settings, work)


if __name__ == "__main__":
    main()
