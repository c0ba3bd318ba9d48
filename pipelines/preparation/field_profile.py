"""Statistics of each field of the logs."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import functions as F

from afm_core.errors import LogsError
from afm_core.features import FeatureMap, Tags
from afm_core.storage.atomic import replacing
from pipelines.encoding.fitting import FieldFacts, FittedFeatureMap
from pipelines.logs.checking import CheckedLogs
from pipelines.logs.values import tag_values

_TEXT_SHOWN = 60


@dataclass(frozen=True)
class FieldProfile:
    """One field over the accepted events. None for a statistic that the kind lacks or that only encoding would give."""

    field: str
    kind: str
    events: int
    missing: int | None
    distinct: int | None
    unknown: int | None
    """Events that get the unknown id, including those without a value."""
    truncated: int | None
    """Events with more tags than the field's length."""
    least: float | None
    greatest: float | None
    mean: float | None
    top_values: list[str]
    top_counts: list[int]


def profile_fields(checked: CheckedLogs, fitted: FittedFeatureMap) -> list[FieldProfile]:
    """Profile every field. Cost: one pass if there are tags, else none; fitting has counted the rest."""
    truncated = _truncated(checked, fitted.feature_map)
    return [
        _profile(checked, ids.declared.kind, ids.declared.sources, name, fitted.facts[name], truncated.get(name))
        for name, ids in zip(fitted.feature_map.names, fitted.feature_map.fields, strict=True)
    ]


def check_missing_and_unknown(profiles: Sequence[FieldProfile], fitted: FittedFeatureMap, where: str) -> None:
    """Check the profiles against `max_missing` and `max_unknown` of the fields.

    Raises:
        LogsError: fields exceed their thresholds; the message has one line for each.
    """
    problems = []
    for profile, ids in zip(profiles, fitted.feature_map.fields, strict=True):
        for key, rows, allowed in (
            ("missing", profile.missing, ids.declared.max_missing),
            ("unknown", profile.unknown, ids.declared.max_unknown),
        ):
            if rows is not None and allowed is not None and rows > allowed * profile.events:
                share = rows / profile.events
                problems.append(
                    f"{where}: field {profile.field}: {key} in {rows:,} of {profile.events:,} events ({share:.2%}), "
                    f"allowed is max_{key} = {allowed:.2%}; correct the logs, or raise max_{key}"
                )
    if problems:
        raise LogsError("\n".join(problems))


def write_profile(profiles: Sequence[FieldProfile], path: Path) -> None:
    """Write one row per field as Parquet."""
    schema = pa.schema(
        [
            *[(name, pa.string()) for name in ("field", "kind")],
            *[(name, pa.int64()) for name in ("events", "missing", "distinct", "unknown", "truncated")],
            *[(name, pa.float64()) for name in ("least", "greatest", "mean")],
            ("top_values", pa.list_(pa.string())),
            ("top_counts", pa.list_(pa.int64())),
        ]
    )
    with replacing(path) as unfinished:
        table = pa.Table.from_pylist([asdict(profile) for profile in profiles], schema)
        pq.write_table(table, unfinished, compression="zstd")


def _truncated(checked: CheckedLogs, feature_map: FeatureMap) -> dict[str, int]:
    tags = [ids.declared for ids in feature_map.fields if isinstance(ids.declared, Tags)]
    if not tags:
        return {}
    counts = [F.count_if(F.size(tag_values(field)) > field.length) for field in tags]
    row = checked.accepted.agg(*counts).collect()[0]
    return {field.name: int(count) for field, count in zip(tags, row, strict=True)}


def _profile(
    checked: CheckedLogs, kind: str, sources: tuple[str, ...], name: str, facts: FieldFacts, truncated: int | None
) -> FieldProfile:
    events, numbers = checked.rows_accepted, facts.numbers
    missing = events - checked.present[sources[0]] if sources else None
    has_values = kind in ("categorical", "time", "hashed", "tags")
    return FieldProfile(
        name,
        kind,
        events,
        missing,
        facts.values.distinct if has_values else None,
        facts.unknown,
        truncated,
        numbers.least if numbers else None,
        numbers.greatest if numbers else None,
        numbers.mean if numbers else None,
        [value[:_TEXT_SHOWN] for value, _ in facts.values.top],
        [count for _, count in facts.values.top],
    )
