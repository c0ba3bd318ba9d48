"""Steps on the rows of a batch equal torch's own optimisers."""

from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from afm_core.kernels import rows
from afm_core.learning.optimisers import RowAdagrad, RowAdam, RowAdamW, add_row_l2, build_optimizer
from afm_core.settings.train import TrainSettings


def learn(optimizer_of: Callable[..., torch.optim.Optimizer], *, sparse: bool, width: int) -> Tensor:
    """A table after 30 batches, in which ids repeat, and most ids do not occur."""
    generator = torch.Generator().manual_seed(1)
    table = nn.Embedding(200, width, sparse=sparse)
    with torch.no_grad():
        table.weight.copy_(torch.randn(200, width, generator=generator))
    optimizer = optimizer_of(table.parameters())
    for _ in range(30):
        ids = torch.randint(0, 60, (40, 3), generator=generator)
        target = torch.randn(40, 3, width, generator=generator)
        optimizer.zero_grad()
        (table(ids) - target).square().mean().backward()
        optimizer.step()
    return table.weight.detach()


@pytest.fixture(params=["native", "torch", "without waiting"])
def implementation(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param != "native":
        monkeypatch.setattr(rows, "native_library", lambda: None)
        if request.param == "without waiting":  # as on a GPU
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


def test_sgd_touches_the_rows_of_the_batch_only() -> None:
    learned = learn(
        lambda parameters: build_optimizer(parameters, TrainSettings(optimizer="sgd")), sparse=True, width=3
    )
    wanted = learn(lambda parameters: torch.optim.SGD(parameters, lr=0.05), sparse=False, width=3)
    assert torch.allclose(learned, wanted, atol=1e-6)


def test_l2_of_rows_counts_each_row_of_the_batch_once() -> None:
    table, dense = nn.Embedding(10, 4, sparse=True), nn.Parameter(torch.ones(3))
    (table(torch.tensor([3, 7, 3])).sum() + dense.sum()).backward()
    before = table.weight.grad.to_dense()
    add_row_l2([table.weight, dense], 0.5)
    change = table.weight.grad.to_dense() - before
    expected = torch.zeros(10, 4)
    expected[[3, 7]] = 0.5 * table.weight.detach()[[3, 7]]
    assert torch.allclose(change, expected)
    assert torch.equal(dense.grad, torch.ones(3))


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
@pytest.mark.parametrize("optimizer_of", [RowAdagrad, RowAdam, partial(RowAdamW, weight_decay=0.1)])
def test_on_a_gpu_a_step_asks_the_device_for_nothing(
    implementation: None, optimizer_of: Callable[..., torch.optim.Optimizer]
) -> None:
    table = nn.Embedding(50, 8, sparse=True)
    optimizer = optimizer_of(table.parameters(), lr=0.1)
    for _ in range(2):
        table(torch.tensor([3, 7, 3, 3])).square().sum().backward()
        with _Called() as called:
            add_row_l2(table.parameters(), 0.01)
            optimizer.step()
    assert called.names["_local_scalar_dense"] <= 1, "the number of the step, which lies on the host"
    waiting = {"_unique2", "unique_dim", "nonzero", "masked_select", "index_add_", "item"}
    assert not waiting & called.names.keys(), called.names
