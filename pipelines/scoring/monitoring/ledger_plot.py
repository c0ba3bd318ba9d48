"""The nights of the ledger as a plot: rows, mean score, unknown share, drift."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from afm_core.settings.score import DriftSettings
from pipelines.scoring.monitoring.ledger import LEDGER, LedgerEntry, read_ledger

TREND = "trend.png"
_NIGHTS = 60
_NAMED = 5  # lines with a name; more cannot be told apart


def plot_trend(scores: Path, limits: DriftSettings) -> Path | None:
    """Draw the last nights that were published, each as its last run left it. None where there are fewer than two."""
    last = {entry.night: entry for entry in read_ledger(scores) if entry.outcome == "published"}
    nights = [last[night] for night in sorted(last)][-_NIGHTS:]
    if len(nights) < 2:
        return None
    figure = Figure(figsize=(8, 9), layout="constrained")
    rows, mean, unknown, drift = figure.subplots(4, 1, sharex=True)
    days = _days(nights)
    rows.plot(days, [entry.scored or 0 for entry in nights], ".-")
    rows.set(ylabel="rows scored", ylim=(0, 1.1 * max(1, *[entry.scored or 0 for entry in nights])))
    mean.plot(days, [entry.mean_score for entry in nights], ".-")
    mean.set(ylabel="mean score")
    _lines(unknown, nights, [entry.unknown for entry in nights])
    unknown.set(ylabel="missing or unseen", ylim=(0, None))
    watched = [{name: at for name, at in entry.drift.items() if name not in limits.ignore} for entry in nights]
    _lines(drift, nights, watched)
    drift.set(ylabel="drift (PSI)", ylim=(0, None))
    if limits.warn is not None:
        drift.axhline(limits.warn, color="grey", linestyle="--", linewidth=1)
    figure.autofmt_xdate()
    path = scores / LEDGER / TREND
    unfinished = path.with_name(f".{TREND}")
    figure.savefig(unfinished, format="png", dpi=120)
    unfinished.rename(path)
    return path


def _lines(axes: Axes, nights: list[LedgerEntry], values: list[dict[str, float]]) -> None:
    """A line a name; those that were greatest in any night are named."""
    days = _days(nights)
    greatest = {name: max(night.get(name, 0.0) for night in values) for name in values[-1]}
    names = sorted(greatest, key=lambda name: -greatest[name])
    for at, name in enumerate(names):
        named = at < _NAMED
        line = [night.get(name, float("nan")) for night in values]
        axes.plot(days, line, ".-", label=name if named else None, color=None if named else "lightgrey", zorder=-at)
    if names:
        axes.legend(fontsize="small", loc="upper left")


def _days(nights: list[LedgerEntry]) -> NDArray[np.datetime64]:
    return np.array([entry.night for entry in nights], dtype="datetime64[D]")
