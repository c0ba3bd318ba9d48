import torch
from torch import nn

from afm_core.models.factors import Table
from pipelines.training.gradient_exchange import as_table, from_table, looked_up_alike, packed, table_is_smaller, unpack


def sparse(ids: list[int], rows: list[list[float]]) -> torch.Tensor:
    return torch.sparse_coo_tensor([ids], torch.tensor(rows), (5, 2), check_invariants=True)


def test_summed_tables_are_the_summed_gradients() -> None:
    one, other = sparse([3, 1, 3], [[1.0, 2.0], [0.0, 0.0], [4.0, 8.0]]), sparse([3, 0], [[-5.0, -10.0], [7.0, 7.0]])
    found = from_table(as_table(one) + as_table(other)).coalesce()
    assert torch.equal(found.to_dense(), (one + other).to_dense())
    assert found.indices()[0].tolist() == [0, 1, 3], "rows whose gradient is zero were touched all the same"


def test_the_whole_table_goes_where_that_is_less() -> None:
    """Frappe with 512 rows a step sends rows, the small tables of a demo go whole; a great vocabulary never does."""
    assert not table_is_smaller(torch.Size((5392, 256)), 256 * 10, 2)
    assert table_is_smaller(torch.Size((95, 8)), 256 * 5, 2)
    assert table_is_smaller(torch.Size((95, 1)), 256 * 5, 8)
    assert not table_is_smaller(torch.Size((10_000_000, 16)), 4096 * 10, 2)


def test_rows_of_both_ranks_arrive_in_one_message_a_batch() -> None:
    generator = torch.Generator().manual_seed(1)
    model = nn.ModuleList(Table(50, width) for width in (6, 1, 4))
    for table in model:
        nn.init.normal_(table.weight, generator=generator)
    messages, wanted = [], [torch.zeros(50, width) for width in (6, 1, 4)]
    for ids in (torch.randint(0, 50, (80,), generator=generator), torch.randint(0, 50, (30,), generator=generator)):
        model.zero_grad()
        other = ids.flip(0)  # as many, but not the same tensor
        loss = sum((table(at) ** 2).sum() for table, at in zip(model, (ids, ids, other), strict=True))
        loss.backward()
        tables = [table.weight for table in model]
        groups = looked_up_alike(tables)
        assert [[next(at for at, table in enumerate(tables) if table is one) for one in group] for group in groups] == [
            [0, 1],
            [2],
        ]
        for total, weight in zip(wanted, tables, strict=True):
            total += weight.grad.to_dense()
        messages.append([packed(group) for group in groups])
        assert messages[-1][0].shape == (len(set(ids.tolist())), 8)
    for group, parts in zip(groups, zip(*messages, strict=True), strict=True):
        unpack(torch.cat(parts), group)
    for weight, total in zip(tables, wanted, strict=True):
        torch.testing.assert_close(weight.grad.to_dense(), total)
