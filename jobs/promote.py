"""Promote the bundle that was trained last if it is as good as the current one; otherwise leave the current one."""

import argparse
from collections.abc import Sequence

from afm_core.settings import Settings
from jobs._command import parser, run
from pipelines.console import screen
from pipelines.evaluation.evaluate_report import promotion_plan_table, promotion_table
from pipelines.evaluation.promotion import promote, refusal, roll_back

SECTIONS = ("dataset", "run", "promote")


def main(argv: Sequence[str] | None = None) -> None:
    """Run the job."""
    command = parser(__doc__, "python jobs/promote.py --config conf/demo.yaml", SECTIONS)
    command.add_argument(
        "--to",
        metavar="FINGERPRINT",
        help="roll back (or forward) to a bundle that was promoted or trained before; nothing is compared",
    )
    run(command, job, argv)


def job(settings: Settings, arguments: argparse.Namespace) -> None:
    """Check the bundle, promote it if it passes, and print the checks; or roll back."""
    if arguments.to and arguments.dry_run:
        screen.print(f"would make {arguments.to} {settings.run.current}")
        return
    if arguments.to:
        version = roll_back(settings, arguments.to)
        screen.print(f"{settings.run.current} is now {arguments.to}, from {version}")
        return
    if arguments.dry_run:
        screen.print(promotion_plan_table(settings))
        return
    promotion = promote(settings)
    screen.print(promotion_table(settings, promotion))
    error = refusal(settings, promotion)
    if error:
        raise error


if __name__ == "__main__":
    main()
