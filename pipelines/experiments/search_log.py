"""The log of a search: a line a trial, from which the search goes on."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Trial:
    """One training with settings that were drawn."""

    name: str
    """Of the entry of `compare`."""
    number: int
    drawn: dict[str, Any]
    """Value by key of the settings."""
    metric: str
    valid: float
    """Of the best epoch on the validation split."""
    best_epoch: int
    seconds: float
    made_from: str
    """Digest of the settings that were not drawn, and of the dataset."""


def read_trials(log: Path) -> list[Trial]:
    """All whole lines of a log; none where there is none yet. A last line that was cut short is left out."""
    lines = log.read_text(encoding="utf-8").splitlines() if log.is_file() else []
    found = []
    for line in lines:
        try:
            found.append(Trial(**json.loads(line)))
        except (ValueError, TypeError):
            continue
    return found


def append_trial(log: Path, trial: Trial) -> None:
    """Add a line."""
    log.parent.mkdir(parents=True, exist_ok=True)
    whole = not log.is_file() or log.read_bytes()[-1:] in (b"", b"\n")
    with log.open("a", encoding="utf-8") as file:
        file.write(("" if whole else "\n") + json.dumps(asdict(trial)) + "\n")
