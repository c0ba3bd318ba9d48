"""The nights of the ledger as a plot: rows, mean score, share of unknown values, drift."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from afm_core.settings.score import DriftSettings
from afm_core.storage.atomic import replacing
from afm_core.storage.locations import Location
from pipelines.scoring.monitoring.ledger import LEDGER, LedgerEntry

PLOT = "trend.png"
NIGHTS_SHOWN = 60
"""Number of nights, the last ones."""
_LABELLED = 5  # fields with a label; more lines cannot be told apart


def plot_ledger(nights: Location, rows: Sequence[LedgerEntry], limits: DriftSettings) -> Location | None:
    """Plot the last published nights, each as its last run left it. None where there are fewer than two.

    Args:
        rows: of the ledger, oldest first.
    """
    figure = trend(rows, limits)
    if figure is None:
        return None
    path = nights / LEDGER / PLOT
    with replacing(path) as unfinished:
        figure.savefig(unfinished, format="png", dpi=120)
    return path


def trend(rows: Sequence[LedgerEntry], limits: DriftSettings) -> Figure | None:
    """The plot. Recommendations have rows only: no mean score, unknown values or drift."""
    last = {entry.night: entry for entry in rows if entry.outcome == "published"}
    entries = [last[night] for night in sorted(last)][-NIGHTS_SHOWN:]
    if len(entries) < 2:
        return None
    has_scores = any(entry.figures.mean_score is not None for entry in entries)
    figure = Figure(figsize=(8, 9 if has_scores else 3), layout="constrained")
    written, *others = figure.subplots(4 if has_scores else 1, 1, sharex=True, squeeze=False)[:, 0]
    counts = [entry.figures.scored or 0 for entry in entries]
    written.plot(_days(entries), counts, ".-")
    written.set(ylabel="rows written", ylim=(0, 1.1 * max(1, *counts)))
    if has_scores:
        _plot_scores(others, entries, limits)
    figure.autofmt_xdate()
    return figure


def _plot_scores(axes: Sequence[Axes], entries: Sequence[LedgerEntry], limits: DriftSettings) -> None:
    """Plot mean score, unknown values and drift, each on axes of its own."""
    days, (mean, unknown, drift) = _days(entries), axes
    mean.plot(days, np.array([entry.figures.mean_score for entry in entries], dtype=np.float64), ".-")
    mean.set(ylabel="mean score")
    _plot_fields(unknown, days, [entry.figures.unknown for entry in entries])
    unknown.set(ylabel="missing or unseen", ylim=(0, None))
    watched = [
        {name: index for name, index in entry.figures.drift.items() if name not in limits.ignore} for entry in entries
    ]
    _plot_fields(drift, days, watched)
    drift.set(ylabel="drift (PSI)", ylim=(0, None))
    if limits.warn is not None:
        drift.axhline(limits.warn, color="grey", linestyle="--", linewidth=1)


def _plot_fields(axes: Axes, days: NDArray[np.datetime64], values: Sequence[Mapping[str, float]]) -> None:
    """One line per field; the fields with the largest values are labelled."""
    largest = {name: max(night.get(name, 0.0) for night in values) for name in values[-1]}
    names = sorted(largest, key=lambda name: -largest[name])
    for rank, name in enumerate(names):
        is_labelled = rank < _LABELLED
        line = [night.get(name, float("nan")) for night in values]
        label, color = (name, None) if is_labelled else (None, "lightgrey")
        axes.plot(days, line, ".-", label=label, color=color, zorder=-rank)
    if names:
        axes.legend(fontsize="small", loc="upper left")


def _days(entries: Sequence[LedgerEntry]) -> NDArray[np.datetime64]:
    return np.array([entry.night for entry in entries], dtype="datetime64[D]")
