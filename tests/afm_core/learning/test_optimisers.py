"""Steps on the rows of a batch equal torch's own optimisers."""

import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from afm_core.kernels import row_steps, rows, triton
from afm_core.learning.optimisers import RowAdagrad, RowAdam, RowAdamW, RowSGD, build_optimizer
from afm_core.settings.train import OptimizerName, TrainSettings


def learn(optimizer_of: Callable[..., torch.optim.Optimizer], *, sparse: bool, width: int) -> Tensor:
    """A table after a few batches, in which ids repeat, and most ids do not occur."""
    generator = torch.Generator().manual_seed(1)
    table = nn.Embedding(200, width, sparse=sparse)
    with torch.no_grad():
        table.weight.copy_(torch.randn(200, width, generator=generator))
    optimizer = optimizer_of(table.parameters())
    for _ in range(6):
        ids = torch.randint(0, 60, (40, 3), generator=generator)
        target = torch.randn(40, 3, width, generator=generator)
        optimizer.zero_grad()
        (table(ids) - target).square().mean().backward()
        optimizer.step()
    return table.weight.detach()


@pytest.fixture(params=["native", "torch", "without waiting", "triton"])
def implementation(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "triton":
        if not triton.available():
            pytest.skip("Triton is not installed")
        monkeypatch.setattr(row_steps, "_by_triton", lambda weight: True)
    elif request.param != "native":
        monkeypatch.setattr(rows, "native_library", lambda: None)
        if request.param == "without waiting":  # as on a GPU without Triton
            monkeypatch.setattr(rows, "_may_count", lambda ids: False)
    elif rows.native_library() is None:
        pytest.skip("this set-up has no compiled kernels")


@pytest.mark.usefixtures("implementation")
@pytest.mark.parametrize("width", [1, 3, 64, 100])
def test_adagrad_on_rows_is_dense_adagrad(width: int) -> None:
    options = {"lr": 0.05, "initial_accumulator_value": 1e-8}
    learned = learn(lambda parameters: RowAdagrad(parameters, **options), sparse=True, width=width)
    wanted = learn(lambda parameters: torch.optim.Adagrad(parameters, **options), sparse=False, width=width)
    assert torch.allclose(learned, wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("implementation", ["native", "triton"], indirect=True)
def test_an_id_of_the_whole_batch_is_added_up_too(implementation: None) -> None:
    """It spans several chunks of the kernel that adds up partial sums, and more chunks than are read at once."""
    generator = torch.Generator().manual_seed(4)
    ids = torch.cat([torch.full((700,), 2), torch.randint(0, 5, (70,), generator=generator), torch.full((64,), 4)])
    table = nn.Embedding(6, 130, sparse=True)
    start = table.weight.detach().clone()
    gradient = torch.randn(len(ids), 130, generator=generator)
    optimizer = RowSGD(table.parameters(), lr=0.5)
    table(ids).backward(gradient)
    optimizer.step()
    wanted = start.double().index_add(0, ids, gradient.double(), alpha=-0.5)
    torch.testing.assert_close(table.weight.detach().double(), wanted, rtol=0, atol=1e-4)


@pytest.mark.usefixtures("implementation")
@pytest.mark.parametrize("width", [1, 3, 64, 100])
def test_adam_on_rows_is_sparse_adam(width: int) -> None:
    learned = learn(lambda parameters: RowAdam(parameters, lr=0.05), sparse=True, width=width)
    wanted = learn(lambda parameters: torch.optim.SparseAdam(list(parameters), lr=0.05), sparse=True, width=width)
    assert torch.allclose(learned, wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.usefixtures("implementation")
def test_adamw_decays_the_rows_of_the_batch_and_no_others() -> None:
    table = nn.Embedding(10, 4, sparse=True)
    start = table.weight.detach().clone()
    optimizer = RowAdamW(table.parameters(), lr=0.1, weight_decay=0.5)
    (table(torch.tensor([3, 7, 3])) * 0).sum().backward()
    optimizer.step()
    touched = torch.zeros(10, dtype=torch.bool)
    touched[[3, 7]] = True
    assert torch.equal(table.weight[~touched], start[~touched])
    assert torch.allclose(table.weight[touched], start[touched] * (1 - 0.1 * 0.5))


@pytest.mark.usefixtures("implementation")
def test_sgd_touches_the_rows_of_the_batch_only() -> None:
    learned = learn(lambda parameters: RowSGD(parameters, lr=0.05), sparse=True, width=3)
    wanted = learn(lambda parameters: torch.optim.SGD(parameters, lr=0.05), sparse=False, width=3)
    assert torch.allclose(learned, wanted, atol=1e-6)


@pytest.mark.usefixtures("implementation")
@pytest.mark.parametrize("optimizer", ["sgd", "adagrad", "adam", "adamw"])
def test_l2_of_rows_counts_each_row_of_the_batch_once(optimizer: OptimizerName) -> None:
    """The same as a step of another optimiser in whose gradient it was, once for each row of the batch."""
    stepped = []
    for row_l2, in_gradient in ((0.5, 0.0), (0.0, 0.5)):
        torch.manual_seed(1)
        table, dense = nn.Embedding(10, 4, sparse=True), nn.Parameter(torch.ones(3))
        parameters = [table.weight, dense]
        optimizer_ = build_optimizer(parameters, TrainSettings(optimizer=optimizer, embedding_l2=row_l2))
        for ids in ([3, 7, 3], [7, 9, 9]):
            optimizer_.zero_grad()
            squares = table.weight[sorted(set(ids))].square().sum() if in_gradient else 0.0
            (table(torch.tensor(ids)).sum() + dense.sum()).backward()
            if in_gradient:
                (penalty,) = torch.autograd.grad(0.5 * in_gradient * squares, table.weight)
                table.weight.grad = (table.weight.grad + penalty.to_sparse(1)).to_sparse(1)
            optimizer_.step()
        stepped.append((table.weight.detach(), dense.detach()))
    torch.testing.assert_close(*stepped, rtol=1e-5, atol=1e-7)


def test_dense_parameters_take_torchs_own_step() -> None:
    pairs = ((RowAdagrad, torch.optim.Adagrad), (RowAdam, torch.optim.Adam), (RowAdamW, torch.optim.AdamW))
    for ours, theirs in pairs:
        learned = learn(lambda parameters, of=ours: of(parameters, lr=0.05), sparse=False, width=4)
        wanted = learn(lambda parameters, of=theirs: of(parameters, lr=0.05), sparse=False, width=4)
        assert torch.equal(learned, wanted)


def test_an_optimiser_by_name() -> None:
    parameters = [nn.Parameter(torch.zeros(3))]
    assert isinstance(build_optimizer(parameters, TrainSettings(optimizer="adam")), RowAdam)
    adagrad = build_optimizer(parameters, TrainSettings(batch_size=200))
    assert isinstance(adagrad, RowAdagrad)
    assert adagrad.defaults["initial_accumulator_value"] == pytest.approx(1e-8 * 1e-4)


@pytest.mark.parametrize("width", [1, 7, 64])
def test_rows_are_looked_up_as_torch_does(width: int) -> None:
    generator = torch.Generator().manual_seed(2)
    weight = torch.randn(50, width, generator=generator)
    ids = torch.randint(0, 50, (9, 4), generator=generator)[:, ::2]
    gradient = torch.randn(9, 2, width, generator=generator)
    found, gradients = [], []
    for look_up in (rows.gather_rows, nn.functional.embedding):
        table = weight.clone().requires_grad_()
        looked_up = look_up(table, ids) if look_up is rows.gather_rows else look_up(ids, table, sparse=True)
        looked_up.backward(gradient)
        found.append(looked_up)
        gradients.append(table.grad)
    assert torch.equal(*found)
    assert gradients[0].is_sparse
    assert gradients[0]._nnz() == 18
    torch.testing.assert_close(gradients[0].to_dense(), gradients[1].to_dense())


@pytest.mark.parametrize("bad", [-1, 50, 1 << 40])
def test_an_id_that_the_table_lacks_is_refused(bad: int) -> None:
    ids = torch.tensor([[0, 1], [bad, 49]])
    with pytest.raises(IndexError):
        rows.gather_rows(torch.zeros(50, 8), ids)


@pytest.mark.parametrize("implementation", ["native", "torch", "without waiting"], indirect=True)
def test_rows_of_tables_group_by_lookup_are_summed_together(implementation: None) -> None:
    generator = torch.Generator().manual_seed(3)
    ids = torch.randint(0, 40, (500,), generator=generator)
    parts = [torch.randn(500, width, generator=generator) for width in (70, 1, 3)]
    parts[2] = torch.randn(500, 8, generator=generator)[:, 2:5]
    distinct, sums = rows.sum_rows(ids, parts)
    assert sorted(distinct.tolist()) == sorted(set(ids.tolist()))
    for at, one in enumerate(distinct):
        torch.testing.assert_close(sums[at], torch.cat(parts, dim=1)[ids == one].sum(dim=0))


class _Called(TorchDispatchMode):
    """The operators that are called."""

    def __init__(self) -> None:
        super().__init__()
        self.names: Counter[str] = Counter()

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.names[function.__name__.split(".")[0]] += 1
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("implementation", ["without waiting"], indirect=True)
@pytest.mark.parametrize("optimizer_of", [RowSGD, RowAdagrad, RowAdam, partial(RowAdamW, weight_decay=0.1)])
def test_on_a_gpu_a_step_asks_the_device_for_nothing(
    implementation: None, optimizer_of: Callable[..., torch.optim.Optimizer]
) -> None:
    table = nn.Embedding(50, 8, sparse=True)
    optimizer = optimizer_of(table.parameters(), lr=0.1, row_l2=0.01)
    for _ in range(2):
        table(torch.tensor([3, 7, 3, 3])).square().sum().backward()
        with _Called() as called:
            optimizer.step()
    assert called.names["_local_scalar_dense"] <= 1, "the number of the step, which lies on the host"
    waiting = {"_unique2", "unique_dim", "nonzero", "masked_select", "index_add_", "item"}
    assert not waiting & called.names.keys(), called.names


def test_no_step_imports_the_tracer_of_torch_compile() -> None:
    """It takes seconds, at the start of every training."""
    program = """
import sys, torch
from torch import nn
from afm_core.learning.optimisers import build_optimizer
from afm_core.settings.train import TrainSettings
for name in ("sgd", "adagrad", "adam", "adamw"):
    table, dense = nn.Embedding(5, 2, sparse=True), nn.Linear(2, 1)
    optimizer = build_optimizer([*table.parameters(), *dense.parameters()], TrainSettings(optimizer=name))
    for _ in range(2):
        optimizer.zero_grad()
        dense(table(torch.tensor([1, 2]))).sum().backward()
        optimizer.step()
    optimizer.load_state_dict(optimizer.state_dict())
assert "torch._dynamo" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True)
