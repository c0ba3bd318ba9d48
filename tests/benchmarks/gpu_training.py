"""The training of conf/frappe.yaml's model on one GPU, for `tests.benchmarks.gpu`: its steps, an epoch, its bits."""

import hashlib
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch.profiler import ProfilerActivity, profile

from afm_core.learning.tasks import task_of
from afm_core.models import EncodedBatch, build_model
from afm_core.models import Shape as ModelShape
from afm_core.settings import Settings, load_settings
from pipelines.feeding.batch import Batch
from pipelines.feeding.on_device import on_device
from pipelines.training.communicator import SingleProcess
from pipelines.training.device_losses import read
from pipelines.training.state import TrainingState
from pipelines.training.step import compute_gradients, update
from tests.benchmarks.measuring import DEVICE
from tests.benchmarks.report import Table
from tests.support.files import ROOT

N_IDS, FIELDS, EPOCH_ROWS = 5383, 10, 400_000  # Frappe's features; a third more than its training rows
_WAITS = ("cudaStreamSynchronize", "cudaDeviceSynchronize", "cudaEventSynchronize")


class _Training:
    """The model and its optimiser, and one step."""

    def __init__(self, batch_size: int, on_card: bool) -> None:
        small = [] if on_card else ["model.embedding_dim=16", "model.attention_dim=16", "model.kernel=triton"]
        overrides = [*small, f"train.batch_size={batch_size}"]
        self.settings: Settings = load_settings(ROOT / "conf" / "frappe.yaml", overrides)
        torch.manual_seed(1)
        model = build_model(self.settings.model, ModelShape(N_IDS, FIELDS)).to(DEVICE)
        self.state = TrainingState.start(model, self.settings, 1000)
        self._ranks, self._task = SingleProcess(), task_of(self.settings.train)

    def step(self, batch: Batch) -> list[tuple[torch.Tensor, int | torch.Tensor]]:
        rows = len(batch.label)
        losses = compute_gradients(self.state, batch, rows, self._task, self.settings, self._ranks)
        update(self.state, self.settings, self._ranks, rows * FIELDS)
        return losses


def _drawn(rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Ids whose popularity falls by a power law, as those of items and users do, and labels."""
    random = np.random.default_rng(seed)
    per_field = N_IDS // FIELDS
    ids = 1 + random.zipf(1.3, (rows, FIELDS)) % per_field + np.arange(FIELDS) * per_field
    return ids.astype(np.int64), (random.random(rows) < 1 / 3).astype(np.float32) * 2 - 1


def _batch(ids: np.ndarray, label: np.ndarray) -> Batch:
    return Batch(EncodedBatch.of_ids(torch.from_numpy(ids)), torch.from_numpy(label), None, None)


def step_costs() -> Table:
    """Microseconds, launches and synchronisations of a step."""
    table = Table("A training step", ["batch", "microseconds", "on the card", "launches", "synchronisations"], [])
    for rows in (512, 4096):
        training, batch = _Training(rows, on_card=True), _batch(*_drawn(rows, 1)).to(DEVICE)
        for _ in range(3):
            training.step(batch)
        steps = 50
        torch.cuda.synchronize()
        start = time.perf_counter()
        for _ in range(steps):
            training.step(batch)
        torch.cuda.synchronize()
        micros = (time.perf_counter() - start) / steps * 1e6
        with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as profiled:
            for _ in range(steps):
                training.step(batch)
        events = profiled.events()
        assert events is not None
        launched = [event for event in events if event.device_type == torch.autograd.DeviceType.CUDA]
        busy = sum(event.self_device_time_total for event in launched) / steps
        waits = sum(Counter(event.name for event in events)[name] for name in _WAITS) / steps
        cells = [f"{rows:,}", f"{micros:,.0f}", f"{busy:,.0f}", f"{len(launched) / steps:.1f}", f"{waits:.2f}"]
        table.rows.append(cells)
    return table


def epoch(folder: Path, on_card: bool) -> Table:
    """An epoch from Parquet, in an order of its own, prefetched by a thread as in a training."""
    total = EPOCH_ROWS if on_card else 32
    ids, label = _drawn(total, 2)
    columns = {f"f{field}": pa.array(ids[:, field].astype(np.int32)) for field in range(FIELDS)}
    pq.write_table(pa.table({**columns, "label": pa.array(label)}), folder / "rows.parquet", row_group_size=1 << 16)
    table = Table("An epoch from Parquet", ["batch", "rows/s", "share of waiting for rows", "RMSE of training"], [])
    for size in (512, 4096) if on_card else (16,):
        training = _Training(size, on_card)
        for _ in range(3):
            training.step(_batch(ids[:size], label[:size]).to(DEVICE))
        start = time.perf_counter()
        batches = on_device(_read(folder / "rows.parquet", size), DEVICE)
        losses = read([loss for batch in batches for loss in training.step(batch)])
        seconds = time.perf_counter() - start
        rmse = (sum(loss for loss, _ in losses) / total) ** 0.5
        shares = f"{batches.waited / seconds:.0%}"
        table.rows.append([f"{size:,}", f"{total / seconds:,.0f}", shares, f"{rmse:.4f}"])
    return table


def _read(path: Path, size: int) -> Iterator[Batch]:
    random = np.random.default_rng(3)
    file = pq.ParquetFile(path)
    for group in random.permutation(file.num_row_groups):
        rows = file.read_row_group(int(group))
        order = random.permutation(len(rows))
        ids = np.stack([rows[f"f{field}"].to_numpy() for field in range(FIELDS)], axis=1).astype(np.int64)[order]
        label = rows["label"].to_numpy()[order]
        for first in range(0, len(order), size):
            yield _batch(ids[first : first + size], label[first : first + size])


def determinism(on_card: bool) -> Table:
    """The digest of all weights after some steps, twice."""
    digests = []
    for _ in range(2):
        training = _Training(512 if on_card else 16, on_card)
        for step in range(20 if on_card else 2):
            torch.manual_seed(step)
            training.step(_batch(*_drawn(512 if on_card else 16, step)).to(DEVICE))
        digest = hashlib.sha256()
        for weight in training.state.model.state_dict().values():
            digest.update(weight.cpu().numpy().tobytes())
        digests.append(digest.hexdigest()[:16])
    return Table("The same training twice", ["first", "second", "equal"], [[*digests, str(digests[0] == digests[1])]])
