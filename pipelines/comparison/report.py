"""A comparison as a table: on screen, as Markdown and as JSON."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich.table import Table

from afm_core.settings import Settings
from pipelines.comparison.job import Compared
from pipelines.console import bar, columns, facts

_HEADER = ["model", "parameters", "valid RMSE", "RMSE", "log loss", "AUC", "s an epoch", "best epoch", "paper RMSE"]


def comparison_table(results: Sequence[Compared]) -> Table:
    """A row a model, with a bar of its test RMSE."""
    most = max((found.test["rmse"] for found in results), default=1.0)
    rows = [[*_cells(found), bar(found.test["rmse"] / most)] for found in results]
    return columns("models on the test split", [*_HEADER, ""], rows)


def write_comparison(results: Sequence[Compared], settings: Settings) -> Path:
    """Write compare.md and compare.json into the run's folder; returns that of the Markdown."""
    lines = ["| " + " | ".join(_HEADER) + " |", "| --- " + "| ---: " * (len(_HEADER) - 1) + "|"]
    lines += ["| " + " | ".join(_cells(found)) + " |" for found in results]
    text = f"# {settings.name}\n\nTest split, at the best epoch on the validation split; seed {settings.seed}.\n\n"
    target = settings.run.path / "compare.md"
    target.write_text(text + "\n".join(lines) + "\n", encoding="utf-8")
    as_json = json.dumps([asdict(found) for found in results], indent=2)
    target.with_suffix(".json").write_text(as_json + "\n", encoding="utf-8")
    return target


def plan_table(settings: Settings) -> Table:
    """What a comparison would do."""
    rows = [(name, f"{entry.model.name}, {entry.run.path}") for name, entry in settings.compared()]
    return facts(f"would compare on {settings.dataset.path}", rows)


def _cells(found: Compared) -> list[str]:
    return [
        found.name,
        f"{found.parameters:,}",
        f"{found.valid_rmse:.4f}",
        *[f"{found.test[name]:.4f}" for name in ("rmse", "log_loss", "auc")],
        f"{found.seconds_an_epoch:.1f}",
        str(found.best_epoch),
        "" if found.paper_rmse is None else f"{found.paper_rmse:.4f}",
    ]
