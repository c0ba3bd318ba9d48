"""The figures of a report, as SVG: in greys and line styles that everybody can tell apart."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from afm_core.inference.explanations import PairAttention
from afm_core.learning.metrics.scored import Scored
from pipelines.console import printable
from pipelines.evaluation.report.findings import Bin, Importance
from pipelines.pages.svg import svg

_STYLES = (("-", "black"), ("--", "0.45"), (":", "black"), ("-.", "0.45"))
_SHOWN_FIELDS, _SCORE_BINS = 30, 40


def curves(losses: Mapping[str, Sequence[tuple[float, float]]], metric: str) -> str:
    """Training and validation results by epoch.

    Args:
        losses: by stage, (training, validation) of each epoch.
    """
    figure, axes = _plot()
    for (name, epochs), (style, colour) in zip(losses.items(), _STYLES, strict=False):
        numbers = range(1, len(epochs) + 1)
        axes.plot(numbers, [valid for _, valid in epochs], style, color=colour, marker="o", markersize=3, label=name)
    axes.set(xlabel="epoch", ylabel=f"validation {metric}")
    axes.legend(fontsize=8)
    return svg(figure, f"Validation {metric} after each epoch, for {', '.join(losses)}; the numbers are below.")


def calibration(bins: Sequence[Bin]) -> str:
    """Observed against predicted."""
    figure, axes = _plot()
    axes.plot([0, 1], [0, 1], ":", color="0.5", label="calibrated")
    axes.plot([each.predicted for each in bins], [each.observed for each in bins], "o-", color="black", label="model")
    axes.set(xlabel="predicted share of positives", ylabel="observed", xlim=(0, 1), ylim=(0, 1))
    axes.legend(fontsize=8)
    return svg(figure, "Observed share of positives against the predicted one, in ten bins; the numbers are below.")


def histogram(scored: Scored) -> str:
    """Scores of positives and negatives."""
    figure, axes = _plot()
    least = float(scored.score.min())
    bins = np.linspace(least, max(float(scored.score.max()), least + 1e-6), _SCORE_BINS + 1).tolist()
    positives, negatives = scored.score[scored.positive], scored.score[~scored.positive]
    axes.hist(negatives, bins=bins, color="0.75", label="negatives")
    axes.hist(positives, bins=bins, histtype="step", color="black", linewidth=1.5, label="positives")
    axes.set(xlabel="score", ylabel="rows")
    axes.legend(fontsize=8)
    return svg(figure, "Histogram of the scores of positives and of negatives.")


def heatmap(attention: Sequence[PairAttention]) -> str:
    """Mean attention of each pair of fields."""
    names = list(dict.fromkeys(name for pair in attention for name in pair.fields))[:_SHOWN_FIELDS]
    weights = np.full((len(names), len(names)), np.nan)
    for pair in attention:
        if set(pair.fields) <= set(names):
            i, j = sorted(map(names.index, pair.fields))
            weights[j, i] = pair.mean_weight
    size = max(4.0, 0.32 * len(names))
    figure = Figure(figsize=(size + 1, size), layout="constrained")
    axes = figure.add_subplot()
    image = axes.pcolormesh(weights, cmap="Greys", vmin=0, edgecolors="white", linewidth=0.5)
    shown = [printable(name) for name in names]
    axes.set_xticks(np.arange(len(names)) + 0.5, shown, rotation=90, fontsize=8)
    axes.set_yticks(np.arange(len(names)) + 0.5, shown, fontsize=8)
    axes.invert_yaxis()
    figure.colorbar(image, label="mean attention weight")
    return svg(figure, "Mean attention weight of each pair of fields; the greatest are listed below.")


def bars(importances: Sequence[Importance], title: str) -> str:
    """Importance of each field."""
    shown = importances[:_SHOWN_FIELDS]
    figure = Figure(figsize=(6, 1.0 + 0.28 * len(shown)), layout="constrained")
    axes = figure.add_subplot()
    axes.barh([printable(each.field) for each in shown], [each.increase for each in shown], color="0.45")
    axes.invert_yaxis()
    axes.set_xlabel(title)
    axes.grid(axis="x", alpha=0.3)
    return svg(figure, f"{title}, by field; the numbers are below.")


def _plot() -> tuple[Figure, Axes]:
    figure = Figure(figsize=(6, 3.6), layout="constrained")
    axes = figure.add_subplot()
    axes.grid(alpha=0.3)
    return figure, axes
