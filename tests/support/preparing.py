"""Small logs whose datasets are known."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipelines.dataset import Manifest
from tests.support.config import write_minimal_config

Prepare = Callable[..., tuple[Manifest, pd.DataFrame]]
"""Prepares logs by the settings of its keywords; returns the manifest and the decoded dataset."""


def config_for(folder: Path, events: pd.DataFrame, **sections: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    events.to_csv(folder / "logs.csv", index=False)
    return write_minimal_config(folder, folder / "logs.csv", **{"fields": ["user", "item", "hour"], **sections})


def logs(rows: int, users: int = 12, items: int = 20, seed: int = 3) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "user": [f"u{at}" for at in random.integers(0, users, rows)],
            "item": [f"i{at}" for at in np.minimum(random.geometric(0.15, rows), items)],
            "hour": [str(at) for at in random.integers(0, 4, rows)],
            "ts": 1_767_225_600 + random.integers(0, 10 * 86_400, rows),  # from 1 January 2026
            "rating": random.integers(1, 6, rows),
        }
    )


def pairs(frame: pd.DataFrame, *names: str) -> list[tuple[str, ...]]:
    return list(frame[list(names)].itertuples(index=False, name=None))
