"""A comparison as a table: on screen, as Markdown and as JSON."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import mean, stdev

from rich.table import Table

from afm_core.settings import Settings
from pipelines.console import bar, columns, facts
from pipelines.experiments.compare import ComparisonResult
from pipelines.experiments.variations import compared_settings

_HEADER = ["model", "parameters", "validation", "RMSE", "log loss", "AUC", "s an epoch", "best epoch", "paper RMSE"]
_TESTED = ("rmse", "log_loss", "auc")


def comparison_table(results: Sequence[ComparisonResult], settings: Settings) -> Table:
    """A row a model, with a bar of its validation error."""
    most = max((found.valid for found in results), default=1.0)
    rows = [
        [*_cells(found, settings), bar(mean(one.valid for one in found) / most)] for found in by_name(results).values()
    ]
    return columns("models on the test split", [*_HEADER, ""], rows)


def write_comparison(results: Sequence[ComparisonResult], settings: Settings) -> Path:
    """Write compare.md and compare.json into the run's folder; returns that of the Markdown."""
    lines = ["| " + " | ".join(_HEADER) + " |", "| --- " + "| ---: " * (len(_HEADER) - 1) + "|"]
    lines += ["| " + " | ".join(_cells(found, settings)) + " |" for found in by_name(results).values()]
    seeds = settings.seeds or (settings.seed,)
    spread = ", mean ± standard deviation of seeds " if len(seeds) > 1 else ", seed "
    said = f"Test split, at the best epoch on the validation split{spread}{', '.join(map(str, seeds))}."
    target = settings.run.path / "compare.md"
    target.write_text(f"# {settings.name}\n\n{said}\n\n" + "\n".join(lines) + "\n", encoding="utf-8")
    as_json = json.dumps([asdict(found) for found in results], indent=2)
    target.with_suffix(".json").write_text(as_json + "\n", encoding="utf-8")
    return target


def plan_table(settings: Settings) -> Table:
    """What a comparison would do."""
    rows = [(name, f"{entry.model.name}, {entry.run.path}") for name, entry in compared_settings(settings)]
    rows += [
        (f"study {name}", f"{study.key} of {study.model}: {', '.join(map(str, study.values))}")
        for name, study in settings.studies.items()
    ]
    return facts(f"would compare on {settings.dataset.path}", rows)


def by_name(results: Sequence[ComparisonResult]) -> dict[str, list[ComparisonResult]]:
    """The results of each model, one a seed."""
    names = dict.fromkeys(found.name for found in results)
    return {name: [found for found in results if found.name == name] for name in names}


def _cells(found: Sequence[ComparisonResult], settings: Settings) -> list[str]:
    first = found[0]
    paper = settings.compare[first.name].paper_rmse
    return [
        first.name,
        f"{first.parameters:,}",
        f"{first.metric} {_with_spread([one.valid for one in found])}",
        *[_with_spread([one.test[name] for one in found if name in one.test]) for name in _TESTED],
        f"{mean(one.seconds_an_epoch for one in found):.1f}",
        ", ".join(str(one.best_epoch) for one in found),
        "" if paper is None else f"{paper:.4f}",
    ]


def _with_spread(values: Sequence[float]) -> str:
    if not values:
        return ""
    return f"{mean(values):.4f}" + (f" ± {stdev(values):.4f}" if len(values) > 1 else "")
