import pytest
import torch

from afm_core.inference.top_items import TopItemFinder
from afm_core.models import REGISTRY, AnyModel, EncodedBatch, Shape, build_model
from afm_core.settings.model import ModelSettings

ITEMS, USERS, SLOT = 300, 40, 1


def model_of(name: str, **options: object) -> AnyModel:
    torch.manual_seed(3)
    settings = ModelSettings.model_validate(
        {"name": name, "embedding_dim": 8, "attention_dim": 6, "layers": [8], "pair_buckets": 500, **options}
    )
    model = build_model(settings, Shape(1 + USERS + ITEMS + 20, 4))
    for weight in model.parameters():
        torch.nn.init.normal_(weight, std=0.5)
    return model.eval()


def queries() -> torch.Tensor:
    torch.manual_seed(4)
    contexts = 1 + USERS + ITEMS + torch.randint(0, 10, (USERS, 2)) + torch.tensor([0, 10])
    users = 1 + torch.arange(USERS)
    return torch.cat([users[:, None], torch.zeros(USERS, 1, dtype=torch.int64), contexts], dim=1)


def brute_force(model: AnyModel, rows: torch.Tensor, items: torch.Tensor, k: int) -> tuple[torch.Tensor, torch.Tensor]:
    """One row at a time, sorted by (output, position) as Python sorts."""
    positions, outputs = [], []
    for row in rows:
        pairs = row.repeat(len(items), 1)
        pairs[:, SLOT] = items
        with torch.inference_mode():
            actual = model(EncodedBatch.of_ids(pairs)).tolist()
        best = sorted(range(len(items)), key=lambda at: (-actual[at], at))[:k]
        positions.append(best)
        outputs.append([actual[at] for at in best])
    return torch.tensor(positions), torch.tensor(outputs)


@pytest.mark.parametrize("name", REGISTRY)
def test_the_best_are_those_of_brute_force(name: str) -> None:
    model, items = model_of(name), 1 + USERS + torch.arange(ITEMS)
    positions, outputs = TopItemFinder(model, SLOT, items).best(queries(), 10)
    expected_positions, expected = brute_force(model, queries(), items, 10)
    torch.testing.assert_close(outputs, expected, rtol=0, atol=1e-5)
    if name != "linear":  # whose order is that of one number an item, the same for all queries
        assert len({tuple(row) for row in positions.tolist()}) > 1
    assert positions.tolist() == expected_positions.tolist()


@pytest.mark.parametrize("options", [{"attention": False}, {"attention_temperature": 3.0}, {"attention_sum": "pairs"}])
def test_variants_of_afm_too(options: dict) -> None:
    model, items = model_of("afm", **options), 1 + USERS + torch.randperm(ITEMS)[:77]
    positions, _ = TopItemFinder(model, SLOT, items).best(queries(), 5)
    assert positions.tolist() == brute_force(model, queries(), items, 5)[0].tolist()


def test_equal_outputs_come_in_the_order_of_the_list_and_k_is_at_most_all() -> None:
    model, items = model_of("afm"), 1 + USERS + torch.arange(30)
    with torch.no_grad():
        model.factors.embedding.weight[items] = model.factors.embedding.weight[items[0]].clone()
        model.factors.linear.weight[items] = 0.25
    positions, outputs = TopItemFinder(model, SLOT, items).best(queries(), 50)
    assert positions.tolist() == [list(range(30))] * USERS
    assert outputs.shape == (USERS, 30)


@pytest.mark.parametrize("name", ["afm", "fm"])
def test_the_quick_outputs_are_the_models_but_for_a_constant_a_query(name: str) -> None:
    """Scoring the best again would hide a quick form that is only roughly right."""
    model, items = model_of(name), 1 + USERS + torch.arange(ITEMS)
    finder = TopItemFinder(model, SLOT, items)
    with torch.inference_mode():
        quick = finder._fast_outputs(queries())
        exact = finder._outputs(queries(), torch.arange(ITEMS).expand(USERS, -1))
    assert quick is not None
    difference = quick - exact
    assert exact.std(dim=1).min() > 0.1
    torch.testing.assert_close(difference, difference[:, :1].expand_as(difference), rtol=0, atol=1e-4)
