import torch

from pipelines.training.exchange import as_table, from_table, table_is_smaller


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
