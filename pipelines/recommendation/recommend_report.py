"""Best items as a short table."""

from collections.abc import Sequence

from rich.table import Table

from afm_core.settings import Settings
from pipelines.console import columns
from pipelines.recommendation.recommend import BestItemsManifest


def best_items_table(settings: Settings, nights: Sequence[BestItemsManifest]) -> Table:
    """What was found for the users of each night."""
    header = ["night", "users", "items compared", "best of each", "rejected rows", "users/s"]
    rows = [
        [
            str(found.night),
            f"{found.users:,}",
            f"{found.items:,}",
            str(found.k),
            f"{sum(found.rejected.values()):,}",
            f"{found.users / max(0.01, list(found.seconds.values())[-1]):,.0f}",
        ]
        for found in nights
    ]
    return columns(f"best items of {settings.name}, in {settings.recommendations_path}", header, rows)
