from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipelines.simulation.day import COLUMNS, csv_lines_with_dirt, simulate_day
from pipelines.simulation.simulate import Simulation, simulate
from pipelines.simulation.world import PLANTED_PAIRS, World
from tests.support.files import snapshot

FIRST = date(2026, 1, 1)


def simulated(out: Path, days: int, seed: int = 1) -> dict[str, str]:
    simulate(Simulation(out, FIRST, days, 300, users=50, apps=20, seed=seed))
    return snapshot(out)


def test_same_seed_same_logs_and_more_days_change_no_earlier_one(tmp_path: Path) -> None:
    three, five = simulated(tmp_path / "a", 3), simulated(tmp_path / "b", 5)
    assert len(three) == 3
    assert three.items() < five.items()
    assert set(simulated(tmp_path / "c", 3, seed=2).values()).isdisjoint(three.values())


@pytest.fixture(scope="module")
def events() -> pd.DataFrame:
    world = World.create(users=300, apps=60, seed=4)
    return pd.concat([simulate_day(world, FIRST, day, 8000, 4).to_pandas() for day in range(7)], ignore_index=True)


def mutual_information(a: pd.Series, b: pd.Series) -> float:
    """In nats, less the bias of finite samples."""
    joint = pd.crosstab(a, b).to_numpy(float)
    share = joint / joint.sum()
    independent = share.sum(1, keepdims=True) * share.sum(0, keepdims=True)
    present = share > 0
    bias = (joint.shape[0] - 1) * (joint.shape[1] - 1) / (2 * joint.sum())
    return float((share[present] * np.log(share[present] / independent[present])).sum() - bias)


def test_the_app_depends_on_the_planted_fields_and_on_no_other(events: pd.DataFrame) -> None:
    information = {name: mutual_information(events["app"], events[name]) for name in COLUMNS[1:] if name != "app"}
    planted = {name for pair in PLANTED_PAIRS for name in pair} - {"app"}
    assert planted == {"user", "daypart", "place"}
    for name, nats in information.items():
        if name in planted:
            assert nats > 0.1, name
        elif name != "device":  # a user carries one device, so it tells a little of the user
            assert abs(nats) < 0.02, name


def test_later_days_bring_values_that_were_never_seen(events: pd.DataFrame) -> None:
    world = World.create(users=300, apps=60, seed=4)
    later = simulate_day(world, FIRST, 12, 8000, 4).to_pandas()
    for name in ("user", "app", "device"):
        assert set(later[name]) - set(events[name]), name


def test_dirt_has_the_declared_shares() -> None:
    world = World.create(users=300, apps=60, seed=4)
    rows = simulate_day(world, FIRST, 0, 50_000, 4)
    lines = pd.Series(csv_lines_with_dirt(rows, 0, 4).to_pylist())
    columns = lines.str.count(",") + 1
    assert 0.001 < (columns < len(COLUMNS)).mean() < 0.003
    assert set(columns[columns >= len(COLUMNS)]) == {len(COLUMNS)}
    whole = lines[columns == len(COLUMNS)].str.split(",", expand=True)
    whole.columns = list(COLUMNS)
    assert 0.015 < (whole["weather"] == "").mean() < 0.025
    assert 0.0003 < (whole["user"] == "").mean() < 0.002
    assert not (whole["app"] == "").any()
