"""Plots of a comparison and its studies."""

from collections.abc import Sequence
from pathlib import Path
from statistics import mean, stdev

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from afm_core.settings import Settings
from afm_core.settings.experiments import Study
from afm_core.storage.atomic import replacing
from pipelines.experiments.compare import ComparisonResult
from pipelines.experiments.compare_report import by_name

_DPI = 120
_TITLES = {"rmse": "test RMSE", "log_loss": "test log loss", "auc": "test AUC"}


def plot_models(results: Sequence[ComparisonResult], settings: Settings) -> Path:
    """Plot the models' test metrics as bars, with the published RMSE as diamonds, to compare.png."""
    groups = by_name(results)
    shown = [name for name in _TITLES if all(name in result.test for result in results)]
    figure = Figure(figsize=(4.5 * max(1, len(shown)), 0.8 + 0.35 * len(groups)), layout="constrained")
    for column, metric in enumerate(shown):
        axes = figure.add_subplot(1, len(shown), column + 1)
        values = [[result.test[metric] for result in group] for group in groups.values()]
        means = [mean(seeds) for seeds in values]
        spread = [stdev(seeds) if len(seeds) > 1 else 0.0 for seeds in values]
        axes.barh(list(groups), means, xerr=spread, color="0.65")
        if metric == "rmse":
            by_model = {name: settings.compare[name].paper_rmse for name in groups}
            published = {name: value for name, value in by_model.items() if value is not None}
            axes.plot(list(published.values()), list(published), "D", color="black", label="literature")
            if published:
                axes.legend(loc="lower right", fontsize=8)
        margin = 0.15 * (max(means) - min(means)) + 1e-3
        axes.set_xlim(min(means) - margin, max(means) + margin)
        axes.invert_yaxis()
        axes.set_xlabel(_TITLES[metric])
        if column:
            axes.set_yticklabels([])
    return _save(figure, settings.run.work / "compare.png")


def plot_convergence(results: Sequence[ComparisonResult], settings: Settings) -> Path:
    """Plot the validation error of each model after each epoch, for the first seed, to convergence.png."""
    figure, axes = _single_plot()
    for name, group in by_name(results).items():
        by_epoch = group[0].by_epoch
        width = 2.5 if group[0].model == "afm" else 1.2
        axes.plot(range(1, len(by_epoch) + 1), by_epoch, linewidth=width, label=name)
    axes.set(xlabel="epoch", ylabel=f"validation {results[0].metric}")
    axes.legend(fontsize=7, ncols=2)
    return _save(figure, settings.run.work / "convergence.png")


def plot_study(name: str, study: Study, points: Sequence[tuple[float, ComparisonResult]], settings: Settings) -> Path:
    """Plot the validation error against the setting that the study varies, to study-NAME.png."""
    figure, axes = _single_plot()
    values = [value for value, _ in points]
    axes.plot(values, [result.valid for _, result in points], marker="o", color="black", label=study.model)
    if min(values) > 0 and max(values) >= 16 * min(values):
        axes.set_xscale("log", base=2)
    axes.set(xlabel=study.key, ylabel=f"validation {points[0][1].metric}", title=f"{settings.name}: {name}")
    return _save(figure, settings.run.work / f"study-{name}.png")


def _single_plot() -> tuple[Figure, Axes]:
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.add_subplot()
    axes.grid(alpha=0.3)
    return figure, axes


def _save(figure: Figure, path: Path) -> Path:
    with replacing(path) as unfinished:
        figure.savefig(unfinished, format="png", dpi=_DPI)
    return path
