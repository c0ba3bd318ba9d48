"""The simulation from end to end: nothing in, `dt` partitions of CSV out."""

from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from rich.progress import track

from afm_core.storage.publishing import staged
from pipelines.console import messages
from pipelines.simulation.day import COLUMNS, simulate_day, soiled_lines
from pipelines.simulation.world import World


@dataclass(frozen=True)
class Simulation:
    """What to simulate."""

    out: Path
    first_day: date
    days: int
    events: int
    """A day."""
    users: int
    apps: int
    seed: int


def simulate(simulation: Simulation) -> int:
    """Write `out/dt=YYYY-MM-DD/part-00000.csv` for each day, each day replaced whole. Returns the lines written.

    Every day depends on the seed and its own number only, so more days leave the earlier ones as they were. Cost: a few
    array passes a day; memory for one day.
    """
    world = World.create(simulation.users, simulation.apps, simulation.seed)
    header = ",".join(COLUMNS)
    days = range(simulation.days)
    for day in track(days, "simulate", console=messages, transient=True, disable=not messages.is_terminal):
        rows = simulate_day(world, simulation.first_day, day, simulation.events, simulation.seed)
        lines = soiled_lines(rows, day, simulation.seed)
        today = simulation.first_day + timedelta(days=day)
        with staged(simulation.out / f"dt={today.isoformat()}") as stage:
            text = "\n".join([header, *lines.to_pylist()]) + "\n"
            (stage / "part-00000.csv").write_text(text, encoding="utf-8")
    return simulation.days * simulation.events
