"""The log of a search: one line of JSON per trial. A search that is started again continues after them."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from afm_core.settings import Settings
from afm_core.storage.without_links import open_without_links


@dataclass(frozen=True)
class Trial:
    """One training with drawn settings."""

    name: str
    """Name of the entry of `compare`."""
    number: int
    drawn: dict[str, Any]
    """The drawn value of each settings key, such as `train.learning_rate`."""
    metric: str
    """Name of the metric in `valid`."""
    valid: float
    """Metric on the validation split at the best epoch."""
    best_epoch: int
    seconds: float
    made_from: str
    """Digest of the settings that are not drawn and of the dataset."""


def log_path(settings: Settings) -> Path:
    """The log of the search with these settings."""
    return settings.search.path / f"{settings.name}.jsonl"


def read_trials(log: Path) -> list[Trial]:
    """The trials of a log, none if it does not exist yet.

    Lines that cannot be parsed, such as a partial last one, are skipped.
    """
    lines = log.read_text(encoding="utf-8").splitlines() if log.is_file() else []
    trials = []
    for line in lines:
        try:
            trials.append(Trial(**json.loads(line)))
        except (ValueError, TypeError):
            continue
    return trials


def append_trial(log: Path, trial: Trial) -> None:
    """Append one line, after closing a partial last line."""
    log.parent.mkdir(parents=True, exist_ok=True)
    is_complete = not log.is_file() or log.read_bytes()[-1:] in (b"", b"\n")
    with open(log, "a", encoding="utf-8", opener=open_without_links) as file:
        file.write(("" if is_complete else "\n") + json.dumps(asdict(trial)) + "\n")
