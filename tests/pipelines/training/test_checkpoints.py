"""A checkpoint is used as it was written, or not at all."""

import json
from pathlib import Path

import torch

from afm_core.models import Shape, build_model
from afm_core.settings.loading import load_settings
from afm_core.storage.provenance import Provenance
from pipelines.training.checkpoints import Checkpoints
from pipelines.training.state import TrainingState
from tests.support.files import ROOT


def test_a_flipped_bit_in_the_facts_of_a_checkpoint_is_damage(tmp_path: Path) -> None:
    """A key or number that is another one would continue with another state, or end in a traceback."""
    settings = load_settings(ROOT / "conf" / "frappe.yaml", ["model.embedding_dim=2", "model.attention_dim=2"])
    torch.manual_seed(1)
    state = TrainingState.start(build_model(settings.model, Shape(5, 3)), settings, 10)
    checkpoints = Checkpoints(tmp_path, Provenance.of(seed=1, train={"learning_rate": 1e-3}))
    saved = []
    for rows in (7, 9):
        state.rows, state.remaining = rows, ((rows, 40),)
        state.schedule.last_epoch = rows
        checkpoints.save(state)
        saved.append(checkpoints.newest())
    before, newest = saved
    assert before is not None
    assert newest is not None
    assert before != newest
    facts = newest / "state.json"
    content = facts.read_bytes()
    for at in range(len(content)):
        flipped = bytearray(content)
        flipped[at] ^= 1 << at % 8
        facts.write_bytes(flipped)
        chosen = checkpoints.newest()
        assert chosen == before or json.loads(flipped) == json.loads(content), bytes(flipped)
    facts.write_bytes(b"[]")
    assert checkpoints.newest() == before
