"""Checkpoints of a training on disk: each is a folder that is complete or absent, and is verified when it is read."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from afm_core.errors import CheckpointError
from afm_core.storage.checksum import file_sha256
from afm_core.storage.disk_publishing import require_replaceable
from afm_core.storage.provenance import Provenance
from pipelines.console import messages
from pipelines.training.state import TrainingState

_TENSORS, _FACTS = "state.safetensors", "state.json"
_UNFINISHED = ".staging-"
_N_KEPT = 2


class Checkpoints:
    """The checkpoints of one model's training. One rank writes them, all ranks may read them."""

    def __init__(self, folder: Path, made_from: Provenance) -> None:
        """Open a folder of checkpoints; nothing is written yet.

        Args:
            made_from: what a checkpoint must have been made from to be usable: settings and data.
        """
        self._folder, self._made_from = folder, made_from

    def save(self, state: TrainingState) -> None:
        """Write a checkpoint and remove all but the last two.

        Raises:
            CheckpointError: it could not be written; earlier checkpoints are unchanged.
        """
        target = self._path(state.global_step)
        try:
            with _written_whole(target) as stage:
                save_file({name: tensor.contiguous() for name, tensor in state.tensors().items()}, stage / _TENSORS)
                facts = {**state.facts(), "made_from": self._made_from.inputs, "sha256": file_sha256(stage / _TENSORS)}
                (stage / _FACTS).write_text(json.dumps(facts) + "\n", encoding="utf-8")
        except (OSError, SafetensorError) as error:
            raise CheckpointError(
                f"{target}: the checkpoint could not be written: {error}; free space there, or set run.path to another "
                "disk, and continue from the previous checkpoint with --resume auto"
            ) from error
        for old in self._all()[:-_N_KEPT]:
            shutil.rmtree(old, ignore_errors=True)

    def newest(self) -> Path | None:
        """The last complete checkpoint. Damaged ones are reported and skipped.

        Raises:
            CheckpointError: it was made from other settings or data; the message says what differs.
        """
        for path in reversed(self._all()):
            facts = _facts_if_complete(path)
            if facts is None:
                messages.print(f"  {path} is damaged; the previous checkpoint is used")
                continue
            different = self._made_from.differences(Provenance(facts["made_from"]))
            if different:
                raise CheckpointError(
                    f"{path}: made from other settings: {'; '.join(different)}; change them back, or train without "
                    "--resume"
                )
            return path
        return None

    @staticmethod
    def step_of(path: Path) -> int:
        """Number of steps that were done when a checkpoint was written."""
        return int(path.name.removeprefix("step-"))

    def restore(self, step: int, state: TrainingState) -> None:
        """Restore the state of a training from the checkpoint of a step."""
        path = self._path(step)
        state.restore(load_file(path / _TENSORS), json.loads((path / _FACTS).read_text(encoding="utf-8")))

    def _path(self, step: int) -> Path:
        return self._folder / f"step-{step:09d}"

    def _all(self) -> list[Path]:
        return sorted(self._folder.glob("step-*"))


def remove_checkpoints(folder: Path) -> None:
    """Remove the checkpoints of all models of a run, and unfinished ones. A link out of the run is not followed."""
    for checkpoint in folder.glob("*/*step-*"):
        if not checkpoint.parent.is_symlink():
            shutil.rmtree(checkpoint, ignore_errors=True)


@contextmanager
def _written_whole(target: Path) -> Iterator[Path]:
    """Yield a folder that becomes `target` when the block ends without an error. There is only one writer."""
    require_replaceable(target, (_FACTS, _TENSORS))
    for unfinished in target.parent.glob(f"{_UNFINISHED}*"):
        shutil.rmtree(unfinished, ignore_errors=True)
    stage = target.with_name(f"{_UNFINISHED}{target.name}")
    stage.mkdir(parents=True)
    try:
        yield stage
        if target.exists():
            shutil.rmtree(target)  # it was damaged, or its training continued from an earlier one
        stage.rename(target)
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def _facts_if_complete(path: Path) -> dict[str, Any] | None:
    try:
        facts: dict[str, Any] = json.loads((path / _FACTS).read_text(encoding="utf-8"))
        return facts if file_sha256(path / _TENSORS) == facts["sha256"] else None
    except (OSError, ValueError, KeyError):
        return None
