"""What is done to gradients, beside the same of dense tables by torch."""

import pytest
import torch
from torch import Tensor, nn

from afm_core.learning.gradients import add_lookup_l2, clip
from afm_core.models.factors import Table

IDS = torch.tensor([3, 1, 3, 0, 3])


def tables() -> tuple[Table, nn.Embedding, nn.Linear, nn.Linear]:
    """A table with sparse gradients, one with dense ones, and a layer above each; equal weights."""
    torch.manual_seed(0)
    sparse, dense, above = Table(6, 4), nn.Embedding(6, 4), nn.Linear(4, 1)
    nn.init.normal_(sparse.weight)
    dense.weight.data.copy_(sparse.weight.data)
    other = nn.Linear(4, 1)
    other.load_state_dict(above.state_dict())
    return sparse, dense, above, other


def backward(table: nn.Module, above: nn.Module, penalty: float = 0.0) -> None:
    vectors: Tensor = table(IDS)
    (above(vectors).square().sum() + 0.5 * penalty * vectors.square().sum()).backward()


def dense_gradient(weight: Tensor) -> Tensor:
    assert weight.grad is not None
    return weight.grad.to_dense()


def test_l2_of_look_ups_is_the_gradient_of_their_squared_norms() -> None:
    sparse, dense, above, other = tables()
    backward(sparse, above)
    ids = sparse.weight.grad._indices()
    add_lookup_l2([*sparse.parameters(), *above.parameters()], 0.3)
    backward(dense, other, penalty=0.3)
    torch.testing.assert_close(dense_gradient(sparse.weight), dense.weight.grad)
    torch.testing.assert_close(above.weight.grad, other.weight.grad)
    assert sparse.weight.grad._indices().data_ptr() == ids.data_ptr(), (
        "tables of the same look-ups are exchanged as one"
    )


@pytest.mark.parametrize("longest", [0.5, 1e6])
def test_clipping_is_that_of_torch(longest: float) -> None:
    sparse, dense, above, other = tables()
    backward(sparse, above)
    backward(dense, other)
    clip([*sparse.parameters(), *above.parameters()], longest)
    nn.utils.clip_grad_norm_([*dense.parameters(), *other.parameters()], longest)
    torch.testing.assert_close(dense_gradient(sparse.weight), dense.weight.grad)
    torch.testing.assert_close(above.weight.grad, other.weight.grad)
    norm = torch.linalg.vector_norm(
        torch.cat([dense.weight.grad.flatten(), other.weight.grad.flatten(), other.bias.grad])
    )
    assert norm <= 1.001 * longest
    assert longest > 1.0 or norm > 0.99 * longest, "it was clipped"


def test_parameters_without_gradients_do_not_count() -> None:
    sparse, _, above, _ = tables()
    backward(sparse, above)
    clip([nn.Parameter(torch.ones(3)), *above.parameters()], 1e-3)
    assert torch.linalg.vector_norm(torch.cat([weight.grad.flatten() for weight in above.parameters()])) <= 1.001e-3
