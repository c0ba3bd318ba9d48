"""Settings files for tests."""

from pathlib import Path

import yaml

DAYS, EVENTS = 4, 400
"""Size of the simulated logs: three days to learn from, the last one to score."""
NIGHT = "2026-01-04"
FIELDS = ["user", "app", "daypart", "weekday", "place"]
ROWS_PER_FILE = 256


def write_config(folder: Path, logs: Path, /, **overrides: object) -> Path:
    """A settings file for simulated logs, all outputs below `folder`; overrides are merged section by section."""
    tree = {
        "name": "small",
        "logs": {"path": str(logs), "keys": ["event_id"], "max_rejected": 0.01, "last_date": "2026-01-03"},
        "fields": [{"name": "user", "min_count": 2}, {"name": "app", "min_count": 2}, *FIELDS[2:]],
        "negatives": {"per_positive": 2, "replace": "app", "never_seen_by": "user"},
        "dataset": {"path": str(folder / "dataset"), "rows_per_file": ROWS_PER_FILE},
        "model": {"name": "afm", "embedding_dim": 8, "attention_dim": 8, "pooled_dropout": 0.1, "attention_l2": 0.001},
        "train": {"warm_start": {"model": "fm", "epochs": 2}, "batch_size": 64, "epochs": 2},
        "run": {"path": str(folder / "run")},
        "score": {"logs": str(logs), "path": str(folder / "scores")},
    }
    for section, values in overrides.items():
        tree[section] = {**tree.get(section, {}), **values} if isinstance(values, dict) else values
    return write_tree(folder, tree)


def write_tree(folder: Path, tree: dict[str, object]) -> Path:
    """A settings file with this content."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "settings.yaml"
    path.write_text(yaml.safe_dump(tree), encoding="utf-8")
    return path


def write_minimal_config(folder: Path, logs: Path | str, /, fields: list, **sections: object) -> Path:
    """A settings file with the defaults of the settings, all outputs below `folder`."""
    tree = {
        "name": "rules",
        "logs": {"path": str(logs)},
        "fields": fields,
        "dataset": {"path": str(folder / "dataset"), "rows_per_file": 1000},
        "run": {"path": str(folder / "run")},
        "score": {"logs": str(logs), "path": str(folder / "scores")},
        **sections,
    }
    return write_tree(folder, tree)
