"""Write simulated app-usage logs: CSV in dt=YYYY-MM-DD folders, with a planted truth and realistic dirt.

Which app an event uses depends on (user, app), (app, daypart) and (app, place) only; weekday, weather, device and
network are noise. Some values are missing, some lines are cut short, and new users, apps and a new device appear on
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
    command.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of the logs")
    command.add_argument("--first-day", type=date.fromisoformat, default=date(2026, 1, 1), metavar="YYYY-MM-DD")
    command.add_argument("--days", type=int, default=15, metavar="N", help="how many (default 15)")
    command.add_argument("--events", type=int, default=5000, metavar="N", help="lines a day (default 5000)")
    command.add_argument("--users", type=int, default=600, metavar="N", help="over all days (default 600)")
    command.add_argument("--apps", type=int, default=200, metavar="N", help="over all days (default 200)")
    command.add_argument("--seed", type=int, default=1, metavar="N", help="same seed, same logs (default 1)")
    arguments = vars(command.parse_args(argv))
    for name in ("days", "events", "users", "apps", "seed"):
        if arguments[name] < 1:
            command.error(f"--{name} {arguments[name]}: allowed are whole numbers from 1")
    with one_line_exits():
        lines = simulate(Simulation(**arguments))
    screen.print(facts("simulated logs", [("lines", f"{lines:,}"), ("folder", str(arguments["out"]))]))


if __name__ == "__main__":
    main()
