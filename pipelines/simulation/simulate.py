"""The simulation from end to end: writes `dt=YYYY-MM-DD` folders of CSV."""

from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from rich.progress import track

from afm_core.storage.atomic import write_text
from afm_core.storage.disk_publishing import require_replaceable
from pipelines.console import messages
from pipelines.simulation.day import COLUMNS, csv_lines_with_dirt, simulate_day
from pipelines.simulation.world import World

_FILE = "part-00000.csv"


@dataclass(frozen=True)
class Simulation:
    """What to simulate."""

    out: Path
    first_day: date
    days: int
    events: int
    """Events per day."""
    users: int
    apps: int
    seed: int


def simulate(simulation: Simulation) -> int:
    """Write `out/dt=YYYY-MM-DD/part-00000.csv` for each day, atomically. Returns the number of lines.

    A day depends only on the seed and its own number, so a simulation of more days writes the same earlier ones. Cost:
    a few array passes per day; memory for one day.
    """
    world = World.create(simulation.users, simulation.apps, simulation.seed)
    header = ",".join(COLUMNS)
    days = range(simulation.days)
    for day in track(days, "simulate", console=messages, transient=True, disable=not messages.is_terminal):
        rows = simulate_day(world, simulation.first_day, day, simulation.events, simulation.seed)
        lines = csv_lines_with_dirt(rows, day, simulation.seed)
        today = simulation.first_day + timedelta(days=day)
        folder = simulation.out / f"dt={today.isoformat()}"
        require_replaceable(folder, (_FILE,))
        folder.mkdir(parents=True, exist_ok=True)
        write_text(folder / _FILE, "\n".join([header, *lines.to_pylist()]) + "\n")
    return simulation.days * simulation.events
