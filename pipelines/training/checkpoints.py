"""Checkpoints of a training on disk: each is a folder that is complete or absent, and is verified when it is read."""

import hashlib
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load, load_file, save_file
from torch import Tensor

from afm_core.errors import CheckpointError
from afm_core.settings.run import RunSettings
from afm_core.storage.checksum import file_sha256
from afm_core.storage.disk_publishing import require_replaceable
from afm_core.storage.object_store import delete_objects
from afm_core.storage.provenance import Provenance, text_digest
from afm_core.storage.publishing import Condition, do_not_ask
from pipelines.console import messages
from pipelines.training.shared_checkpoints import SharedCheckpoints
from pipelines.training.state import TrainingState

_TENSORS, _FACTS, _DIGEST = "state.safetensors", "state.json", "digest"
_UNFINISHED = ".staging-"
_N_KEPT = 2


class Checkpoints:
    """The checkpoints of one model's training. One rank writes them, all ranks may read them."""

    def __init__(
        self,
        folder: Path,
        made_from: Provenance,
        shared: SharedCheckpoints | None = None,
        condition: Condition = do_not_ask,
    ) -> None:
        """Open a folder of checkpoints; nothing is written yet.

        Args:
            made_from: what a checkpoint must have been made from to be usable: settings and data.
            shared: where the checkpoints are, if not in the folder; they are then only written there first.
            condition: must hold for a checkpoint to be written.
        """
        self._folder, self._made_from, self._shared, self._condition = folder, made_from, shared, condition

    def save(self, state: TrainingState) -> None:
        """Write a checkpoint and remove all but the last two.

        Raises:
            CheckpointError: it could not be written; earlier checkpoints are unchanged.
            MachineError: the store of the copies cannot be reached, or does not let us write.
            BusyError: raised by the condition; earlier checkpoints are unchanged.
        """
        self._condition()
        target = self._path(state.global_step)
        try:
            with _written_whole(target) as stage:
                save_file({name: tensor.contiguous() for name, tensor in state.tensors().items()}, stage / _TENSORS)
                facts = {**state.facts(), "made_from": self._made_from.inputs, "sha256": file_sha256(stage / _TENSORS)}
                sealed = {**facts, _DIGEST: _digest(facts)}
                (stage / _FACTS).write_text(json.dumps(sealed) + "\n", encoding="utf-8")
                self._condition()
        except (OSError, SafetensorError) as error:
            raise CheckpointError(
                f"{target}: the checkpoint could not be written: {error}; free space there, or set run.path to another "
                "disk, and continue from the previous checkpoint with --resume auto"
            ) from error
        if self._shared:
            self._shared.save(target, (_TENSORS, _FACTS), self._condition)
        for old in self._all()[:-_N_KEPT]:
            shutil.rmtree(old, ignore_errors=True)

    def newest(self) -> Path | None:
        """The last complete checkpoint. Damaged ones are reported and skipped.

        Raises:
            CheckpointError: it was made from other settings or data; the message says what differs.
            MachineError: the store of the copies cannot be reached, or does not let us read.
        """
        damaged = 0
        for path, facts in self._newest_first():
            if facts is None:
                messages.print(f"  {path} is damaged, or from another release; it is not used")
                damaged += 1
                continue
            different = self._made_from.differences(Provenance(facts["made_from"]))
            if different:
                raise CheckpointError(
                    f"{path}: made from other settings: {'; '.join(different)}; change them back, or train without "
                    "--resume"
                )
            return self._path(facts["global_step"])
        if damaged:
            messages.print("  no checkpoint can be used; the training starts from the beginning")
        return None

    @staticmethod
    def step_of(path: Path) -> int:
        """Number of steps that were done when a checkpoint was written."""
        return int(path.name.removeprefix("step-"))

    def restore(self, step: int, state: TrainingState) -> None:
        """Restore the state of a training from the checkpoint of a step."""
        if self._shared is None:
            path = self._path(step)
            tensors, facts = load_file(path / _TENSORS), _undamaged_facts((path / _FACTS).read_bytes())
        else:
            tensors, facts = self._read_shared(step, self._shared)
        if facts is None:
            raise CheckpointError(f"{path}: the checkpoint was damaged since it was chosen; run it again")
        state.restore(tensors, facts)

    def _newest_first(self) -> Iterator[tuple[Path, dict[str, Any] | None]]:
        """Each checkpoint with its facts, which are None where it is damaged."""
        if self._shared is None:
            yield from ((path, _facts_if_complete(path)) for path in reversed(self._all()))
            return
        for version in self._shared.newest_first():
            contents = self._shared.read(version, (_FACTS, _TENSORS))
            yield version, _facts_if_equal(contents.get(_FACTS, b""), contents.get(_TENSORS, b""))

    def _read_shared(self, step: int, shared: SharedCheckpoints) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """The checkpoint that rank 0 has chosen, perhaps on another machine."""
        for version in shared.newest_first():
            facts = _undamaged_facts(shared.read(version, (_FACTS,)).get(_FACTS, b""))
            if facts is not None and facts["global_step"] == step:
                return load(shared.read(version, (_TENSORS,))[_TENSORS]), facts
        raise CheckpointError(f"{shared.place.path}: the checkpoint of step {step} was removed; run it again")

    def _path(self, step: int) -> Path:
        return self._folder / f"step-{step:09d}"

    def _all(self) -> list[Path]:
        return sorted(self._folder.glob("step-*"))


def remove_checkpoints(run: RunSettings) -> None:
    """Remove the checkpoints of all models of a run, and unfinished ones. A link out of the run is not followed.

    Raises:
        MachineError: they are in a store that cannot be reached, or does not let us delete.
    """
    for checkpoint in run.checkpoints.glob("*/*step-*"):
        if not checkpoint.parent.is_symlink():
            shutil.rmtree(checkpoint, ignore_errors=True)
    if run.shared_checkpoints:
        delete_objects(str(run.shared_checkpoints))


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


def _facts_if_equal(content: bytes, tensors: bytes) -> dict[str, Any] | None:
    facts = _undamaged_facts(content)
    return facts if facts and hashlib.sha256(tensors).hexdigest() == facts["sha256"] else None


def _facts_if_complete(path: Path) -> dict[str, Any] | None:
    try:
        facts = _undamaged_facts((path / _FACTS).read_bytes())
        return facts if facts and file_sha256(path / _TENSORS) == facts["sha256"] else None
    except OSError:
        return None


def _undamaged_facts(content: bytes) -> dict[str, Any] | None:
    """The facts in a file, None unless all of them are as they were written."""
    try:
        facts = json.loads(content)
    except ValueError:
        return None
    if not isinstance(facts, dict):
        return None
    digest = facts.pop(_DIGEST, None)
    return facts if digest == _digest(facts) else None


def _digest(facts: dict[str, Any]) -> str:
    return text_digest(json.dumps(facts, sort_keys=True))
