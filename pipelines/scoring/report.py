"""A night of scores as a short table."""

from datetime import date

from rich.table import Table

from afm_core.settings import Settings
from pipelines.console import facts
from pipelines.scoring.job import NightManifest
from pipelines.scoring.nights import night_folder


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
            ("mean score", f"{manifest.mean_score:+.4f}"),
            ("model", manifest.model),
            ("scores", str(night_folder(settings.score.path, manifest.night))),
        ],
    )


def plan_table(settings: Settings, night: date) -> Table:
    """What scoring a night would do."""
    return facts(
        f"would score {settings.name}",
        [
            ("logs", str(night_folder(settings.score.logs, night))),
            ("bundle", str(settings.run.bundle)),
            ("write", str(night_folder(settings.score.path, night))),
        ],
    )
