"""Check what the jobs need of this machine: one line each, with the remedy where something is missing."""

import sys
from collections.abc import Sequence

from jobs._command import bare_parser, one_line_exits
from pipelines.console import screen
from pipelines.machine_checks import check_machine, checks_as_text


def main(argv: Sequence[str] | None = None) -> None:
    """Print the checks; exit with 2 if the jobs from preparation to scores could not run."""
    bare_parser(__doc__, "python jobs/doctor.py").parse_args(argv)
    with one_line_exits():
        checks = check_machine()
        screen.print(checks_as_text(checks), soft_wrap=True)
        if any(check.prevents_jobs for check in checks):
            sys.exit(2)


if __name__ == "__main__":
    main()
