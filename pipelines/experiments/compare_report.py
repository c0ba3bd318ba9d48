"""A comparison as a table: on screen, as Markdown and as JSON."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import mean, stdev

from rich.table import Table

from afm_core.settings import Settings
from afm_core.storage.atomic import write_json, write_text
from pipelines.console import bar, columns, facts
from pipelines.experiments.compare import ComparisonResult
from pipelines.experiments.variations import compared_settings, studied_settings

_HEADER = ["model", "parameters", "validation", "RMSE", "log loss", "AUC", "s per epoch", "best epoch", "paper RMSE"]
_TESTED = ("rmse", "log_loss", "auc")


def comparison_table(results: Sequence[ComparisonResult], settings: Settings) -> Table:
    """One row per model, with a bar for its validation error."""
    largest = max((result.valid for result in results), default=1.0)
    rows = [
        [*_cells(group, settings), bar(mean(result.valid for result in group) / largest)]
        for group in by_name(results).values()
    ]
    return columns("models on the test split", [*_HEADER, ""], rows)


def write_comparison(results: Sequence[ComparisonResult], settings: Settings) -> Path:
    """Write compare.md and compare.json to the run's folder. Returns the path of the Markdown."""
    lines = ["| " + " | ".join(_HEADER) + " |", "| --- " + "| ---: " * (len(_HEADER) - 1) + "|"]
    lines += ["| " + " | ".join(_cells(group, settings)) + " |" for group in by_name(results).values()]
    seeds = settings.seeds or (settings.seed,)
    spread = ", mean ± standard deviation of seeds " if len(seeds) > 1 else ", seed "
    caption = f"Test split, at the best epoch on the validation split{spread}{', '.join(map(str, seeds))}."
    target = settings.run.work / "compare.md"
    write_text(target, f"# {settings.name}\n\n{caption}\n\n" + "\n".join(lines) + "\n")
    write_json(target.with_suffix(".json"), [asdict(result) for result in results])
    return target


def plan_table(settings: Settings, with_studies: bool) -> Table:
    """What a comparison with these settings would do."""
    run = settings.run.work
    rows = [(name, f"{entry.model.name}, {entry.run.work}") for name, entry in compared_settings(settings)]
    studies = settings.studies if with_studies else {}
    for name, study in studies.items():
        rows += [
            (f"study {name}", f"{study.key} = {value}, {point.run.work}")
            for value, point in studied_settings(settings, study)
        ]
    written = ["compare.json", "compare.png", "convergence.png", *[f"study-{name}.png" for name in studies]]
    rows.append(("write", f"{run / 'compare.md'}, {', '.join(written)}"))
    return facts(f"would compare on {settings.dataset.path}", rows)


def by_name(results: Sequence[ComparisonResult]) -> dict[str, list[ComparisonResult]]:
    """The results of each model, one per seed."""
    names = dict.fromkeys(result.name for result in results)
    return {name: [result for result in results if result.name == name] for name in names}


def _cells(group: Sequence[ComparisonResult], settings: Settings) -> list[str]:
    first = group[0]
    paper = settings.compare[first.name].paper_rmse
    return [
        first.name,
        f"{first.parameters:,}",
        f"{first.metric} {_with_spread([result.valid for result in group])}",
        *[_with_spread([result.test[name] for result in group if name in result.test]) for name in _TESTED],
        f"{mean(result.seconds_an_epoch for result in group):.1f}",
        ", ".join(str(result.best_epoch) for result in group),
        "" if paper is None else f"{paper:.4f}",
    ]


def _with_spread(values: Sequence[float]) -> str:
    if not values:
        return ""
    return f"{mean(values):.4f}" + (f" ± {stdev(values):.4f}" if len(values) > 1 else "")
