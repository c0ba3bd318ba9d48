"""Nights of recommendations as short tables."""

from collections.abc import Sequence
from datetime import date

from rich.table import Table

from afm_core.settings import Settings
from pipelines.console import columns, facts
from pipelines.recommendation.recommend import RecommendationManifest
from pipelines.scoring.night_dates import night_name
from pipelines.scoring.published.opening import night_store
from pipelines.scoring.run import NightOutcome


def recommendations_table(settings: Settings, outcomes: Sequence[NightOutcome[RecommendationManifest]]) -> Table:
    """What became of each night, one row per night."""
    header = ["night", "users", "items compared", "items per user", "rejected rows", "seconds", "status"]
    rows = [[str(outcome.night), *_cells(outcome.manifest), outcome.reason] for outcome in outcomes]
    return columns(f"recommendations of {settings.name}, in {settings.recommendations_path}", header, rows)


def _cells(manifest: RecommendationManifest | None) -> list[str]:
    if manifest is None:
        return ["not published", "", "", "", ""]
    return [
        f"{manifest.users:,}",
        f"{manifest.items:,}",
        str(manifest.k),
        f"{sum(manifest.rejected.values()):,}",
        f"{sum(manifest.seconds.values()):,.1f}",
    ]


def plan_table(settings: Settings, nights: Sequence[date], k: int) -> Table:
    """What recommending items for these nights would do."""
    items = settings.recommend.items or "all items of the training"
    return facts(
        f"would recommend {k} items to each user of {settings.name}",
        [
            ("nights", ", ".join(map(str, nights)) or "none"),
            *[("read", str(settings.nightly.logs / night_name(night))) for night in nights],
            ("bundle", str(settings.scoring_bundle)),
            ("items", str(items)),
            *[("write", night_store(settings, settings.recommendations_path).where(night)) for night in nights],
        ],
    )
