"""One day of simulated logs: clean events, and their lines of CSV with realistic dirt."""

from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipelines.simulation.world import DAYPARTS, DEVICES, NETWORKS, PLACES, WEATHER, World

COLUMNS = ("event_id", "user", "app", "daypart", "weekday", "place", "weather", "device", "network")

_MISSING = {"weather": 0.02, "network": 0.01, "user": 0.001}
_MALFORMED = 0.002
_MALFORMED_LENGTH = 24  # characters of a truncated line, too short to hold all columns
_NEW_DEVICE_DAY, _NEW_DEVICE_SHARE = 10, 0.03
_DAYPART_SHARES = (0.08, 0.25, 0.17, 0.22, 0.28)
_PLACE_SHARES = (0.45, 0.3, 0.15, 0.1)


def simulate_day(world: World, first_day: date, day: int, events: int, seed: int) -> pa.Table:
    """The clean events of one day, all columns text. The same (world, day, events, seed) gives the same rows."""
    random = _random(seed, day, 0)
    today = date.fromordinal(first_day.toordinal() + day)
    user = world.choose_users(day, events, random)
    daypart = random.choice(len(DAYPARTS), size=events, p=_DAYPART_SHARES)
    place = random.choice(len(PLACES), size=events, p=_PLACE_SHARES)
    app = world.choose_apps(day, user, daypart, place, random)
    device = _names(DEVICES, world.device[user])
    if day >= _NEW_DEVICE_DAY:
        device = pc.if_else(pa.array(random.random(events) < _NEW_DEVICE_SHARE), pa.scalar("e1"), device)
    columns = {
        "event_id": _numbered(f"{today:%Y%m%d}-", np.arange(events)),
        "user": _numbered("u", user),
        "app": _numbered("app", app),
        "daypart": _names(DAYPARTS, daypart),
        "weekday": pa.array([today.strftime("%A").lower()] * events),
        "place": _names(PLACES, place),
        "weather": _names(WEATHER, random.integers(len(WEATHER), size=events)),
        "device": device,
        "network": _names(NETWORKS, random.integers(len(NETWORKS), size=events)),
    }
    return pa.table(columns)


def csv_lines_with_dirt(events: pa.Table, day: int, seed: int) -> pa.Array:
    """The events as lines of CSV, in which some values are missing and some lines are truncated."""
    random = _random(seed, day, 1)
    columns = []
    for name in COLUMNS:
        column = events[name].combine_chunks()
        is_missing = pa.array(random.random(len(column)) < _MISSING.get(name, 0.0))
        columns.append(pc.if_else(is_missing, pa.scalar(""), column))
    lines = pc.binary_join_element_wise(*columns, ",")
    is_truncated = pa.array(random.random(len(lines)) < _MALFORMED)
    return pc.if_else(is_truncated, pc.utf8_slice_codeunits(lines, 0, _MALFORMED_LENGTH), lines)


def _random(seed: int, day: int, purpose: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence([seed, 1, day, purpose]))


def _names(levels: tuple[str, ...], index: NDArray[np.int64]) -> pa.Array:
    return pa.array(levels).take(pa.array(index))


def _numbered(prefix: str, number: NDArray[np.int64]) -> pa.Array:
    return pc.binary_join_element_wise(pa.scalar(prefix), pa.array(number).cast(pa.string()), "")
