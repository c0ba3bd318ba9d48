"""Make the bundle that was trained last the current one, if it is as good as the one before; else that one stays."""

import argparse
from collections.abc import Sequence

from afm_core.settings import Settings
from jobs._command import parser, run
from pipelines.console import facts, screen
from pipelines.evaluation.evaluate_report import promotion_table
from pipelines.evaluation.promotion import promote, refusal

SECTIONS = ("dataset", "run", "promote")


def main(argv: Sequence[str] | None = None) -> None:
    """Run the job."""
    run(parser(__doc__, "python jobs/promote.py --config conf/demo.yaml", SECTIONS), job, argv)


def job(settings: Settings, arguments: argparse.Namespace) -> None:
    """Compare, show what was found, and promote."""
    if arguments.dry_run:
        rows = [("new", str(settings.run.bundle)), ("current", str(settings.run.current))]
        screen.print(facts(f"would compare {settings.name}", rows))
        return
    found = promote(settings)
    screen.print(promotion_table(settings, found))
    error = refusal(settings, found)
    if error:
        raise error


if __name__ == "__main__":
    main()
