"""Simulate app-usage logs: CSV in dt=YYYY-MM-DD folders, with a planted ground truth and realistic dirt.

The app of an event depends only on the pairs (user, app), (app, daypart) and (app, place); weekday, weather, device and
network are noise. Some values are missing, some lines are truncated, and new users, new apps and a new device appear on
later days.
"""

from collections.abc import Sequence
from datetime import date
from pathlib import Path

from jobs._command import bare_parser, one_line_exits
from pipelines.console import facts, screen
from pipelines.simulation.simulate import Simulation, simulate


def main(argv: Sequence[str] | None = None) -> None:
    """Run the job."""
    command = bare_parser(__doc__, "python jobs/simulate_logs.py --out runs/demo/logs --days 15 --events 5000")
    command.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to write the logs to")
    command.add_argument(
        "--first-day",
        type=date.fromisoformat,
        default=date(2026, 1, 1),
        metavar="YYYY-MM-DD",
        help="first day (default 2026-01-01)",
    )
    command.add_argument("--days", type=int, default=15, metavar="N", help="number of days (default 15)")
    command.add_argument("--events", type=int, default=5000, metavar="N", help="events per day (default 5000)")
    command.add_argument(
        "--users", type=int, default=600, metavar="N", help="number of users over all days (default 600)"
    )
    command.add_argument(
        "--apps", type=int, default=200, metavar="N", help="number of apps over all days (default 200)"
    )
    command.add_argument(
        "--seed",
        type=int,
        default=1,
        metavar="N",
        help="seed of the simulation; the same seed gives the same logs (default 1)",
    )
    arguments = vars(command.parse_args(argv))
    for name in ("days", "events", "users", "apps", "seed"):
        if arguments[name] < 1:
            command.error(f"--{name} {arguments[name]}: allowed are whole numbers from 1")
    with one_line_exits():
        lines = simulate(Simulation(**arguments))
    screen.print(facts("simulated logs", [("lines", f"{lines:,}"), ("folder", str(arguments["out"]))]))


if __name__ == "__main__":
    main()
