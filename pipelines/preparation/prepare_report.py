"""The preparation as short tables."""

from collections.abc import Sequence

from rich.markup import escape
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
            ("negatives", f"{manifest.negatives_found:,}" + (f"  ({short:,} fewer than asked)" if short else "")),
            ("digest", manifest.digest),
            ("seconds", f"{sum(manifest.seconds.values()):.1f}"),
            ("dataset", str(settings.dataset.path)),
        ],
    )


def profile_table(profiles: Sequence[FieldProfile]) -> Table:
    """What the logs hold, a row a field."""
    rows = []
    for found in profiles:
        top = zip(found.top_values[:_VALUES_SHOWN], found.top_counts, strict=False)
        shown = ", ".join(f"{escape(value)} {count / found.logs:.0%}" for value, count in top)
        if found.mean is not None:
            shown = f"{found.least:.4g} to {found.greatest:.4g}, mean {found.mean:.4g}"
        if found.truncated:
            shown += f"; {found.truncated:,} logs with too many"
        shares = [_share(rows, found.logs) for rows in (found.missing, found.unknown)]
        distinct = "" if found.distinct is None else f"{found.distinct:,}"
        rows.append([found.field, found.kind, distinct, *shares, shown])
    return columns("fields of the logs", ["field", "kind", "distinct", "missing", "unknown", ""], rows)


def _share(rows: int | None, of: int) -> str:
    return "" if rows is None else f"{rows / of:.2%}"


def encoding_table(feature_map: FeatureMap) -> Table:
    """How each field would be encoded, and why."""
    rows = [[ids.name, ids.declared.kind, *how_encoded(ids)] for ids in feature_map.fields]
    return columns("encoding", ["field", "kind", "how", "why"], rows)


def plan_table(settings: Settings) -> Table:
    """What a preparation would do, said without starting Spark."""
    negatives, split, label = settings.negatives, settings.split, settings.label
    drawn = "none"
    if settings.per_positive:
        seen_by = (
            negatives.never_seen_by if isinstance(negatives.never_seen_by, str) else " and ".join(settings.seen_by)
        )
        drawn = (
            f"{settings.per_positive} a positive: another {' with '.join(negatives.replace)}, never seen by {seen_by}"
        )
        drawn += f", {negatives.draw}" + (f" within {' and '.join(negatives.within)}" if negatives.within else "")
    shares = f"train {split.train:.0%}, valid {split.valid:.0%}, test {split.test:.0%}, {split.by}"
    by_rule = {
        "time": f"last {split.test_days} days of {split.time} test, {split.valid_days} before valid",
        "leave_one_out": f"the last log of each {split.of} test, the one before valid",
    }
    return facts(
        f"would prepare {settings.name}",
        [
            ("read", f"{settings.logs.path} ({settings.logs.format})"),
            ("reject", f"at most {settings.logs.max_rejected:.2%} of the rows"),
            ("fields", ", ".join(f"{field.name} ({field.kind})" for field in settings.fields)),
            ("label", f"column {label.column}" if label.column else "every log is a positive"),
            ("negatives", drawn),
            ("split", by_rule.get(split.by, shares)),
            ("write", f"{settings.dataset.path}, files of {settings.rows_per_file:,} rows"),
        ],
    )
