"""Keys of earlier versions, each refused with the name that it has now."""

from collections.abc import Iterator, Mapping
from typing import Any

RENAMED_KEYS = {
    "negatives.alpha": "negatives.popularity_exponent",
    "train.overshoot": "train.overshoot_penalty",
    "train.warm_start.overshoot": "train.warm_start.overshoot_penalty",
    "train.average": "train.ema_decay",
    "train.exchange": "train.gradient_exchange",
    "train.accumulate": "train.micro_batches",
    "evaluate.lists": "evaluate.group_by",
    "promote.auc": "promote.max_auc_drop",
    "promote.normalised_entropy": "promote.max_entropy_increase",
    "promote.calibration": "promote.calibration_range",
    "promote.score_drift": "promote.max_score_drift",
    "score.mean_score": "score.mean_score_range",
    "score.items": "recommend.items",
    "score.popular_items": "recommend.popular_items",
}
RENAMED_KINDS = {"count": "frequency", "affinity": "co_occurrence"}
RENAMED_FIELD_KEYS = {"take": "aggregation"}


def renamed_key_problems(tree: Mapping[str, Any]) -> Iterator[str]:
    """One line for each key of an earlier version in a settings tree that was read from YAML."""
    for old, new in RENAMED_KEYS.items():
        if _contains(tree, old.split(".")):
            yield f"{old}: renamed; use {new}"
    for name, variant in _mapping(tree, "compare").items():
        for old, new in RENAMED_KEYS.items():
            if isinstance(variant, Mapping) and _contains(variant, old.split(".")):
                yield f"compare.{name}.{old}: renamed; use {new}"
    space = _mapping(_mapping(tree, "search"), "space")
    searchable = {old: new for old, new in RENAMED_KEYS.items() if old.startswith(("model.", "train."))}
    yield from (f"search.space.{key}: renamed; use {searchable[key]}" for key in space if key in searchable)
    for name, study in _mapping(tree, "studies").items():
        key = study.get("key") if isinstance(study, Mapping) else None
        if isinstance(key, str) and key in RENAMED_KEYS:
            yield f"studies.{name}.key: {key} was renamed; use {RENAMED_KEYS[key]}"
    fields = tree.get("fields")
    for field in fields if isinstance(fields, list) else []:
        if isinstance(field, Mapping):
            yield from _field_problems(field)


def _field_problems(field: Mapping[str, Any]) -> Iterator[str]:
    name, kind = field.get("name"), field.get("kind")
    if isinstance(kind, str) and kind in RENAMED_KINDS:
        yield f"fields: {name}: kind: {kind} was renamed; use {RENAMED_KINDS[kind]}"
    for old, new in RENAMED_FIELD_KEYS.items():
        if old in field:
            yield f"fields: {name}: {old}: renamed; use {new}: max or sum"


def _contains(tree: Mapping[str, Any], keys: list[str]) -> bool:
    node: Any = tree
    for key in keys:
        if not isinstance(node, Mapping) or key not in node:
            return False
        node = node[key]
    return True


def _mapping(tree: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    node = tree.get(key)
    return node if isinstance(node, Mapping) else {}
