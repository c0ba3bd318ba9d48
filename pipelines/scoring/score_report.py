"""Nights of scores as short tables."""

from collections.abc import Sequence
from datetime import date

from rich.table import Table

from afm_core.settings import Settings
from pipelines.console import columns, facts
from pipelines.scoring.monitoring.checks import in_words
from pipelines.scoring.night import NightManifest
from pipelines.scoring.night_dates import night_name
from pipelines.scoring.published.opening import night_store
from pipelines.scoring.run import NightOutcome

_UNSEEN_VALUES_SHOWN = 2  # per field


def nights_table(settings: Settings, outcomes: Sequence[NightOutcome[NightManifest]]) -> Table:
    """What became of each night, one row per night; all details where there was only one."""
    if len(outcomes) == 1 and outcomes[0].manifest:
        return night_table(settings, outcomes[0].manifest)
    rows = [[*_row(outcome.night, outcome.manifest), outcome.reason] for outcome in outcomes]
    header = ["night", "rows in", "rejected", "scored", "mean score", "most unknown", "drifted", "status"]
    return columns(f"scored {settings.name}", header, rows)


def night_table(settings: Settings, manifest: NightManifest) -> Table:
    """What was scored."""
    rejected = sum(manifest.rejected.values())
    reasons = ", ".join(f"{reason} {rows:,}" for reason, rows in manifest.rejected.items())
    unknown = ", ".join(f"{name} {share:.1%}" for name, share in manifest.unknown.items() if share)
    return facts(
        f"scored {settings.name}, night {manifest.night}",
        [
            ("rows in", f"{manifest.rows_in:,} = {manifest.scored:,} scored + {rejected:,} rejected"),
            *([("rejected", reasons)] if rejected else []),
            ("missing or unseen", unknown or "none"),
            *([("most frequent unseen", _unseen_values(manifest))] if manifest.new_values else []),
            ("mean score", _mean(manifest)),
            *([("drifted", in_words(manifest.drifted))] if manifest.drifted else []),
            ("model", manifest.model),
            ("scores", night_store(settings, settings.nightly.path).where(manifest.night)),
        ],
    )


def plan_table(settings: Settings, nights: Sequence[date]) -> Table:
    """What scoring these nights would do."""
    return facts(
        f"would score {settings.name}",
        [
            ("nights", ", ".join(map(str, nights)) or "none"),
            *[("read", str(settings.nightly.logs / night_name(night))) for night in nights],
            ("bundle", str(settings.scoring_bundle)),
            *[("write", night_store(settings, settings.nightly.path).where(night)) for night in nights],
        ],
    )


def _row(night: date, manifest: NightManifest | None) -> list[str]:
    if manifest is None:
        return [str(night), "not published", "", "", "", "", ""]
    field, share = max(manifest.unknown.items(), key=lambda item: item[1], default=("", 0.0))
    return [
        str(night),
        f"{manifest.rows_in:,}",
        f"{sum(manifest.rejected.values()):,}",
        f"{manifest.scored:,}",
        _mean(manifest),
        f"{field} {share:.1%}" if share else "",
        in_words(manifest.drifted),
    ]


def _mean(manifest: NightManifest) -> str:
    return "no rows" if manifest.mean_score is None else f"{manifest.mean_score:+.4f}"


def _unseen_values(manifest: NightManifest) -> str:
    shown = [
        f"{name} {value} {rows / max(1, manifest.scored):.1%}"
        for name, values in manifest.new_values.items()
        for value, rows in list(values.items())[:_UNSEEN_VALUES_SHOWN]
    ]
    return ", ".join(shown)
