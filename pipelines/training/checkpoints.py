"""Checkpoints of a training on disk: each a folder that is whole or not there, checked when it is read."""

import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from afm_core.errors import CheckpointError
from afm_core.storage.publishing import staged
from pipelines.console import messages
from pipelines.training.state import TrainingState

_TENSORS, _FACTS = "state.safetensors", "state.json"
_KEPT = 2


class Checkpoints:
    """Those of one model's training. One rank writes, all may read."""

    def __init__(self, folder: Path, made_from: dict[str, Any]) -> None:
        """Look into a folder; nothing is written yet.

        Args:
            made_from: what a checkpoint must have been made from to be of use: settings and data, as JSON can hold it.
        """
        self._folder, self._made_from = folder, json.loads(json.dumps(made_from))

    def save(self, state: TrainingState) -> None:
        """Write a checkpoint and remove all but the last ones.

        Raises:
            CheckpointError: it could not be written; those before it are as they were.
        """
        target = self._path(state.global_step)
        try:
            with staged(target) as stage:
                save_file({name: tensor.contiguous() for name, tensor in state.tensors().items()}, stage / _TENSORS)
                facts = {**state.facts(), "made_from": self._made_from, "sha256": _sha256(stage / _TENSORS)}
                (stage / _FACTS).write_text(json.dumps(facts) + "\n", encoding="utf-8")
        except (OSError, SafetensorError) as error:
            raise CheckpointError(
                f"{target}: the checkpoint could not be written: {error}; free space there, or set run.path to another "
                "disk, and go on with --resume auto from the one before"
            ) from error
        for old in sorted(self._folder.glob("step-*"))[:-_KEPT]:
            shutil.rmtree(old, ignore_errors=True)

    def newest(self) -> Path | None:
        """The last whole checkpoint. Broken ones are named and passed over.

        Raises:
            CheckpointError: it was made from other settings or data; says what differs.
        """
        for path in sorted(self._folder.glob("step-*"), reverse=True):
            facts = _facts_if_whole(path)
            if facts is None:
                messages.print(f"  {path} is not whole; the one before it is used")
                continue
            different = list(_differences(facts["made_from"], self._made_from))
            if different:
                raise CheckpointError(
                    f"{path}: made from other settings: {'; '.join(different)}; change them back, or train without "
                    "--resume"
                )
            return path
        return None

    @staticmethod
    def step_of(path: Path) -> int:
        """Steps that were done when a checkpoint was written."""
        return int(path.name.removeprefix("step-"))

    def restore(self, step: int, state: TrainingState) -> None:
        """Bring a training to where the checkpoint of a step was written."""
        path = self._path(step)
        state.restore(load_file(path / _TENSORS), json.loads((path / _FACTS).read_text(encoding="utf-8")))

    def _path(self, step: int) -> Path:
        return self._folder / f"step-{step:09d}"


def _facts_if_whole(path: Path) -> dict[str, Any] | None:
    try:
        facts: dict[str, Any] = json.loads((path / _FACTS).read_text(encoding="utf-8"))
        return facts if _sha256(path / _TENSORS) == facts["sha256"] else None
    except (OSError, ValueError, KeyError):
        return None


def _differences(theirs: Any, ours: Any, at: str = "") -> Iterator[str]:
    if isinstance(theirs, dict) and isinstance(ours, dict):
        for key in sorted(theirs.keys() | ours.keys()):
            yield from _differences(theirs.get(key), ours.get(key), f"{at}.{key}" if at else key)
    elif theirs != ours:
        yield f"{at} was {theirs}, is {ours}"


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
