"""A preparation as tables for the terminal."""

from collections.abc import Sequence
from pathlib import Path

from rich.table import Table

from afm_core.features import FeatureMap
from afm_core.settings import Settings
from pipelines.console import columns, facts
from pipelines.dataset import Manifest
from pipelines.encoding.encoder import how_encoded
from pipelines.preparation.field_profile import FieldProfile

_VALUES_SHOWN = 3


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
            *([("added", f"{manifest.features_added:,}")] if manifest.features_added is not None else []),
            ("instances", f"{manifest.instances:,}  ({splits})"),
            ("negatives", f"{manifest.negatives_found:,}" + (f"  ({short:,} fewer than requested)" if short else "")),
            ("digest", manifest.digest),
            ("seconds", f"{sum(manifest.seconds.values()):.1f}"),
            ("dataset", str(settings.dataset.path)),
        ],
    )


def profile_table(profiles: Sequence[FieldProfile]) -> Table:
    """Statistics of the logs, one row per field."""
    rows = []
    for profile in profiles:
        top = zip(profile.top_values[:_VALUES_SHOWN], profile.top_counts, strict=False)
        shown = ", ".join(f"{value} {count / profile.events:.0%}" for value, count in top)
        if profile.mean is not None:
            shown = f"{profile.least:.4g} to {profile.greatest:.4g}, mean {profile.mean:.4g}"
        if profile.truncated:
            shown += f"; too many tags in {profile.truncated:,} events"
        shares = [_share(events, profile.events) for events in (profile.missing, profile.unknown)]
        distinct = "" if profile.distinct is None else f"{profile.distinct:,}"
        rows.append([profile.field, profile.kind, distinct, *shares, shown])
    return columns("fields of the logs", ["field", "kind", "distinct", "missing", "unknown", ""], rows)


def _share(events: int | None, total: int) -> str:
    return "" if events is None else f"{events / total:.2%}"


def encoding_table(feature_map: FeatureMap) -> Table:
    """How each field is encoded, and the reason."""
    fields = zip(feature_map.fields, how_encoded(feature_map), strict=True)
    rows = [[ids.name, ids.declared.kind, *how] for ids, how in fields]
    return columns("encoding", ["field", "kind", "encoding", "reason"], rows)


def plan_table(settings: Settings, extend: Path | None = None) -> Table:
    """What a preparation with these settings would do."""
    split, label = settings.split, settings.label
    by_rule = {
        "time": f"last {split.test_days} days of {split.time_source} for test, the {split.valid_days} before for valid",
        "column": f"as column {split.column} says",
        "leave_one_out": f"last event of each {split.of} for test, the event before for valid",
    }
    shares = f"train {split.train:.0%}, valid {split.valid:.0%}, test {split.test:.0%}, by {split.by}"
    return facts(
        f"would prepare {settings.name}",
        [
            ("read", f"{settings.logs.where} ({settings.logs.format})"),
            *([("extend", str(extend))] if extend else []),
            ("reject", f"at most {settings.logs.max_rejected:.2%} of the rows"),
            ("fields", ", ".join(f"{field.name} ({field.kind})" for field in settings.fields)),
            ("label", f"column {label.column}" if label.column else "every event is a positive"),
            ("negatives", _negatives(settings)),
            ("split", by_rule.get(split.by, shares)),
            ("write", f"{settings.dataset.path}, files of {settings.rows_per_file:,} rows"),
        ],
    )


def _negatives(settings: Settings) -> str:
    negatives = settings.negatives
    if not settings.per_positive:
        return "none"
    seen_by = negatives.never_seen_by if isinstance(negatives.never_seen_by, str) else " and ".join(settings.seen_by)
    within = f" within {' and '.join(negatives.within)}" if negatives.within else ""
    return (
        f"{settings.per_positive} per positive: another {' with '.join(negatives.replace)}, never seen by {seen_by}, "
        f"{negatives.draw}{within}"
    )
