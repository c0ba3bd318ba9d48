"""The preparation as short tables."""

from rich.table import Table

from afm_core.settings import Settings
from pipelines.console import facts
from pipelines.dataset import Manifest


def manifest_table(settings: Settings, manifest: Manifest) -> Table:
    """What was prepared."""
    reasons = ", ".join(f"{reason} {rows:,}" for reason, rows in manifest.rejected.items())
    rejected = sum(manifest.rejected.values())
    short = manifest.negatives_asked - manifest.negatives_found
    splits = ", ".join(f"{name} {split.rows:,}" for name, split in manifest.splits.items())
    vocabularies = ", ".join(f"{field['name']} {field['size']:,}" for field in manifest.fields)
    return facts(
        f"prepared {manifest.name}",
        [
            ("rows in", f"{manifest.rows_in:,}"),
            ("rejected", f"{rejected:,}" + (f"  ({reasons})" if rejected else "")),
            ("features", f"{manifest.features:,}  ({vocabularies})"),
            ("instances", f"{manifest.instances:,}  ({splits})"),
            ("negatives", f"{manifest.negatives_found:,}" + (f"  ({short:,} fewer than asked)" if short else "")),
            ("digest", manifest.digest),
            ("seconds", f"{sum(manifest.seconds.values()):.1f}"),
            ("dataset", str(settings.dataset.path)),
        ],
    )


def plan_table(settings: Settings) -> Table:
    """What a preparation would do, said without starting Spark."""
    fields = ", ".join(f"{field.name} (at least {field.min_count})" for field in settings.fields)
    negatives, split = settings.negatives, settings.split
    return facts(
        f"would prepare {settings.name}",
        [
            ("read", f"{settings.logs.path} ({settings.logs.format})"),
            ("reject", f"at most {settings.logs.max_rejected:.2%} of the rows"),
            ("fields", fields),
            (
                "negatives",
                f"{negatives.per_positive} a log: another {negatives.replace}, "
                f"never seen by {' and '.join(negatives.never_seen_by)}",
            ),
            ("split", f"train {split.train:.0%}, valid {split.valid:.0%}, test {split.test:.0%}, {split.by}"),
            ("write", f"{settings.dataset.path}, files of {settings.dataset.rows_per_file:,} rows"),
        ],
    )
