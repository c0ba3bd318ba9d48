"""What a training step asks of a GPU, counted without one: tensors lie on the CPU and take the way that a GPU's take.

Triton's kernels run in its interpreter. Each counts as one launch, whatever the interpreter calls.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch.autograd.profiler import profile, record_function
from torch.autograd.profiler_util import FunctionEvent

from afm_core.kernels import row_steps, rows, triton
from afm_core.learning import optimisers
from afm_core.learning.tasks import task_of
from afm_core.models import REGISTRY, EncodedBatch, Shape, build_model
from afm_core.settings import Settings, load_settings
from pipelines.feeding.batch import Batch
from pipelines.training.communicator import SingleProcess
from pipelines.training.state import TrainingState
from pipelines.training.step import compute_gradients, update
from tests.support.files import ROOT

N_IDS, FIELDS, ROWS, MOST_LAUNCHES = 60, 3, 8, 40
ON_THE_HOST = 3  # the numbers of the steps of two tables and of the average
WAITING = {"item", "nonzero", "unique", "_unique2", "unique_dim", "masked_select", "is_nonzero", "equal"}
CALLS_OTHERS = {
    "contiguous", "embedding_backward", "embedding_sparse_backward", "flatten", "linear", "matmul", "reshape", "square",
    "to",
}  # fmt: skip
LAUNCHES_NOTHING = {
    "_indices", "_sparse_coo_tensor_unsafe", "_sparse_coo_tensor_with_dims_and_tensors", "_values", "as_strided",
    "detach", "detach_", "empty", "empty_like", "empty_strided", "expand", "expand_as", "lift_fresh", "new_empty",
    "permute", "result_type", "select", "slice", "split", "split_with_sizes", "squeeze", "t", "transpose", "unbind",
    "unflatten", "unsqueeze", "view", "view_as",
}  # fmt: skip


@pytest.fixture
def as_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    if not triton.available():
        pytest.skip("Triton is not installed")
    from afm_core.kernels import triton_rows

    monkeypatch.setattr(rows, "native_library", lambda: None)
    monkeypatch.setattr(rows, "_may_count", lambda ids: False)
    monkeypatch.setattr(row_steps, "_by_triton", lambda weight: True)
    monkeypatch.setattr(optimisers, "_on_gpu", lambda parameter: True)
    launch = triton._Launcher.launch
    monkeypatch.setattr(triton._Launcher, "launch", _as_one(launch))
    for name in ("sum_chunks", "step_rows"):
        monkeypatch.setattr(triton_rows, name, _OneLaunch(getattr(triton_rows, name)))


def _as_one(function: Callable[..., None]) -> Callable[..., None]:
    def called(*arguments: Any, **named: Any) -> None:
        with record_function("triton kernel"):
            function(*arguments, **named)

    return called


class _OneLaunch:
    def __init__(self, kernel: Any) -> None:
        self._kernel = kernel

    def __getitem__(self, grid: tuple[int, ...]) -> Callable[..., None]:
        return _as_one(self._kernel[grid])


def operators(events: list[FunctionEvent]) -> Iterator[str]:
    """The operators that were called and not by others, those that move no data left out."""
    for event in events:
        kind, _, name = event.name.partition("::")
        if event.name == "triton kernel":
            yield event.name
        elif kind != "aten" or name in CALLS_OTHERS:
            yield from operators(event.cpu_children)
        elif name not in LAUNCHES_NOTHING:
            yield name


def started(settings: Settings, device: str) -> tuple[TrainingState, Callable[[], None]]:
    """A training, and its step."""
    torch.manual_seed(1)
    state = TrainingState.start(build_model(settings.model, Shape(N_IDS, FIELDS)).to(device), settings, 10)
    label = torch.tensor([1.0, -1.0, -1.0, -1.0] * (ROWS // 4))
    encoded = EncodedBatch.of_ids(torch.randint(1, N_IDS, (ROWS, FIELDS)))
    batch = Batch(encoded, label, None, None).to(torch.device(device))

    def step() -> None:
        compute_gradients(state, batch, ROWS, task_of(settings.train), settings, SingleProcess())
        update(state, settings, SingleProcess(), ROWS * FIELDS)

    return state, step


def launched(settings: Settings) -> Counter[str]:
    """What the second step of a training calls; the first one makes the optimiser's tensors."""
    _, step = started(settings, "cpu")
    for _ in range(2):
        with profile() as profiled:
            step()
    return Counter(operators([event for event in profiled.function_events if event.cpu_parent is None]))


OPTIONS: dict[str, dict[str, Any]] = {
    "clipped": {"clip_norm": 0.1},
    "L2 by look-up": {"embedding_l2": 0.1, "embedding_l2_counts": "lookups"},
}


@pytest.mark.usefixtures("as_on_a_gpu")
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_options_of_a_step_wait_for_nothing(options: dict[str, Any]) -> None:
    settings = load_settings(ROOT / "conf" / "frappe.yaml", ["train.optimizer=sgd"])
    of_model = {"name": "deepfm", "embedding_dim": 4, "layers": (8, 8), "deep_normalisation": "batch"}
    of_train = {"warm_start": None, **options}
    calls = launched(
        settings.model_copy(
            update={
                "model": settings.model.model_copy(update=of_model),
                "train": settings.train.model_copy(update=of_train),
            }
        )
    )
    assert not [name for name in WAITING - {"item"} if calls[name]], calls
    assert calls["item"] <= 1, "the number of the steps of the average, on the host"


@pytest.mark.usefixtures("as_on_a_gpu")
@pytest.mark.parametrize("overrides", [[], ["train.embedding_l2=0.001"], ["model.precision=float32"]])
def test_a_step_of_the_afm_launches_few_kernels_and_waits_for_none(overrides: list[str]) -> None:
    small = ["model.kernel=triton", "model.embedding_dim=16", "model.attention_dim=16"]
    calls = launched(load_settings(ROOT / "conf" / "frappe.yaml", [*small, *overrides]))
    host = {"add_": ON_THE_HOST, "item": ON_THE_HOST}
    assert {name: calls[name] for name in WAITING if calls[name]} == {"item": ON_THE_HOST}, calls
    assert calls["triton kernel"] == 11, "7 of attention, 2 for each table"
    assert (calls - Counter(host)).total() <= MOST_LAUNCHES, calls


@pytest.mark.usefixtures("as_on_a_gpu")
@pytest.mark.parametrize("task", ["regression", "classification", "ranking"])
@pytest.mark.parametrize("model", REGISTRY)
def test_a_step_of_any_model_and_task_waits_for_nothing(model: str, task: str) -> None:
    settings = load_settings(ROOT / "conf" / "frappe.yaml")
    of_model = {"name": model, "kernel": "triton", "embedding_dim": 4, "attention_dim": 16, "deep_layers": (8, 8)}
    of_train = {"task": task, "overshoot_penalty": 1.0, "optimizer": "sgd", "warm_start": None}
    calls = launched(
        settings.model_copy(
            update={
                "model": settings.model.model_copy(update=of_model),
                "train": settings.train.model_copy(update=of_train),
            }
        )
    )
    assert calls["item"] <= 1, "the number of the steps of the average, on the host"
    assert not [name for name in WAITING - {"item"} if calls[name]], calls


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
@pytest.mark.parametrize("optimizer", ["sgd", "adagrad", "adam", "adamw"])
def test_on_a_gpu_no_step_waits_and_the_same_training_gives_the_same_bits(optimizer: str) -> None:
    settings = load_settings(ROOT / "conf" / "frappe.yaml", [f"train.optimizer={optimizer}"])
    ended = []
    for _ in range(2):
        state, step = started(settings, "cuda")
        for number in range(6):
            torch.cuda.set_sync_debug_mode("error" if number > 2 else "default")  # after kernels were compiled
            step()
        torch.cuda.set_sync_debug_mode("default")
        ended.append([weight.cpu() for weight in state.model.state_dict().values()])
    assert all(map(torch.equal, *ended))
