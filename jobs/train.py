"""Train the model of the settings on a prepared dataset and write a bundle, in one process or on several ranks."""

import argparse
from collections.abc import Sequence

from afm_core.settings import Settings
from jobs._command import parser, path_or_url, run
from pipelines.console import screen
from pipelines.training.communicator import Communicator
from pipelines.training.launcher import run_on_ranks
from pipelines.training.train import train
from pipelines.training.train_report import fit_table, plan_table

SECTIONS = ("seed", "dataset", "model", "train", "run")


def main(argv: Sequence[str] | None = None) -> None:
    """Run the job."""
    command = parser(__doc__, "horovodrun -np 2 python jobs/train.py --config conf/demo.yaml", SECTIONS)
    command.add_argument(
        "--ranks", type=int, default=1, metavar="N", help="with --dry-run: number of ranks to plan for"
    )
    command.add_argument(
        "--resume",
        choices=["auto", "never"],
        default="never",
        help="auto: continue from the newest complete checkpoint",
    )
    command.add_argument(
        "--from",
        dest="parent",
        type=path_or_url,
        metavar="BUNDLE",
        help="continue from an earlier bundle of the same model, on a dataset that was prepared with --extend "
        "BUNDLE/features.parquet",
    )
    run(command, job, argv)


def job(settings: Settings, arguments: argparse.Namespace) -> None:
    """Train and print the best epoch of each model."""
    if arguments.dry_run:
        screen.print(plan_table(settings, arguments.ranks))
        return

    def work(ranks: Communicator, resume: bool) -> None:
        trained = train(settings, ranks, resume, arguments.parent)
        if ranks.rank == 0:
            screen.print(fit_table(settings, trained, ranks.size))

    run_on_ranks(settings, work, resume=arguments.resume == "auto")


if __name__ == "__main__":
    main()
