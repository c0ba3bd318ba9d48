"""The nights of the ledger as a page: what became of each, and what is unusual about it."""

from collections.abc import Sequence
from datetime import date

from afm_core.settings.score import DriftSettings
from afm_core.storage.atomic import write_text
from afm_core.storage.locations import Location
from pipelines.pages.page import Cell, Mark, Section, TableOf, page
from pipelines.pages.svg import svg
from pipelines.scoring.monitoring.ledger import LEDGER, LedgerEntry
from pipelines.scoring.monitoring.ledger_plot import NIGHTS_SHOWN, trend

PAGE = "index.html"
_FAILED = ("failed", "refused")
_HEADS = (
    *("night", "state", "rows", "rejected", "written", "mean score"),
    *("largest unknown", "largest drift", "seconds"),
)


def write_page(nights: Location, rows: Sequence[LedgerEntry], limits: DriftSettings) -> Location:
    """Write `index.html` beside the ledger: a line for each of the last nights, and below it a section for each.

    Args:
        rows: of the ledger, oldest first.

    Raises:
        OSError: it cannot be written.
        MachineError: remote storage cannot be reached, or does not let us write.
    """
    by_night: dict[date, list[LedgerEntry]] = {}
    for row in rows:
        by_night.setdefault(row.night, []).append(row)
    last = sorted(by_night, reverse=True)[:NIGHTS_SHOWN]
    figure = trend(rows, limits)
    described = "Rows, mean score, unknown values and drift by night; the numbers are below."
    shown = [svg(figure, described)] if figure else []
    table = TableOf("Nights, the last one first", _HEADS, [_row(by_night[night], limits) for night in last])
    sections = [Section("Nights", tables=[table]), Section("Trends", figures=shown)]
    sections += [_section(by_night[night], limits) for night in last]
    path = nights / LEDGER / PAGE
    write_text(path, page(f"Nights of {nights}", _summary(by_night[last[0]]) if last else "", sections))
    return path


def _summary(runs: Sequence[LedgerEntry]) -> str:
    mark, words = _state(runs)
    return f"The last night, {runs[-1].night}, is {'in order' if mark == 'good' else words}."


def _state(runs: Sequence[LedgerEntry]) -> tuple[Mark, str]:
    """Of the runs of a night: good, doubtful or bad, and why, in words."""
    last = runs[-1]
    if last.outcome in _FAILED:
        stays = "; what an earlier run has published stays" if any(run.outcome not in _FAILED for run in runs) else ""
        return "bad", f"{last.outcome}: {last.reason}{stays}"
    if last.outcome == "empty":
        return "doubtful", "no rows"
    drifted = [f"{name} {last.figures.drift.get(name, 0.0):.2f}" for name in last.figures.drifted]
    return ("doubtful", f"drift of {', '.join(drifted)}") if drifted else ("good", "published")


def _row(runs: Sequence[LedgerEntry], limits: DriftSettings) -> list[str | Cell]:
    last, (mark, words) = runs[-1], _state(runs)
    figures = last.figures
    watched = {name: index for name, index in figures.drift.items() if name not in limits.ignore}
    return [
        Cell(str(last.night), link=f"#{last.night}"),
        Cell(words, mark=mark),
        *[_count(number) for number in (figures.rows_in, figures.rejected, figures.scored)],
        "" if figures.mean_score is None else f"{figures.mean_score:.4f}",
        _largest(figures.unknown),
        _largest(watched),
        f"{last.seconds:.1f}",
    ]


def _section(runs: Sequence[LedgerEntry], limits: DriftSettings) -> Section:
    last = runs[-1]
    told = [[f"{run.started:%Y-%m-%d %H:%M:%S} UTC", run.outcome, run.reason or "", run.model or ""] for run in runs]
    tables = [TableOf(f"Runs of {last.night}", ["started", "outcome", "reason", "model"], told)]
    names = sorted({*last.figures.unknown, *last.figures.drift}, key=lambda name: -last.figures.drift.get(name, 0.0))
    fields: list[list[str | Cell]] = [
        [
            name,
            _share(last.figures.unknown.get(name)),
            _share(last.figures.drift.get(name)),
            "not watched" if name in limits.ignore else "drifted" if name in last.figures.drifted else "",
        ]
        for name in names
    ]
    if fields:
        tables.append(
            TableOf(
                f"Fields, and the score, of {last.night}",
                ["field", "missing or unseen", "drift (PSI)", "limit"],
                fields,
            )
        )
    return Section(str(last.night), _state(runs)[1], tables=tables, anchor=str(last.night))


def _largest(values: dict[str, float]) -> str:
    name = max(values, key=lambda each: values[each], default="")
    return f"{name} {values[name]:.3f}" if name else ""


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _count(number: int | None) -> str:
    return "" if number is None else f"{number:,}"
