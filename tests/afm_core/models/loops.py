"""The models again, as loops over pairs of plain numbers: slow, obvious, and without a line of `afm_core.models`."""

import itertools
import math
from typing import Any

import torch
from torch import Tensor

Row = tuple[list[int], list[float]]


def first_order(model: Any, ids: list[int], x: list[float]) -> float:
    weights = model.factors.linear.weight
    return model.factors.bias.item() + sum(weights[i].item() * value for i, value in zip(ids, x, strict=True) if i)


def pairs(model: Any, ids: list[int], x: list[float]) -> list[Tensor]:
    v = model.factors.embedding.weight
    present = [(i, value) for i, value in zip(ids, x, strict=True) if i]
    return [v[i] * v[j] * a * b for (i, a), (j, b) in itertools.combinations(present, 2)]


def pair_sum(model: Any, ids: list[int], x: list[float]) -> Tensor:
    return sum(pairs(model, ids, x), torch.zeros(model.factors.embedding.embedding_dim, dtype=torch.float64))


def attended(model: Any, ids: list[int], x: list[float]) -> Tensor:
    vectors = pairs(model, ids, x)
    if not model.attention:
        return pair_sum(model, ids, x)
    logits = [(model.h * torch.relu(model.W @ pair + model.b)).sum().item() / model.temperature for pair in vectors]
    total = sum(math.exp(logit - max(logits)) for logit in logits)
    n_pairs = len(vectors) if model.weights_sum_to_pairs else 1
    weighted = [
        n_pairs * math.exp(logit - max(logits)) / total * pair for logit, pair in zip(logits, vectors, strict=True)
    ]
    return sum(weighted, torch.zeros(len(model.p), dtype=torch.float64))


def side_by_side(model: Any, ids: list[int], x: list[float]) -> list[float]:
    v = model.factors.embedding.weight
    return [number * value if i else 0.0 for i, value in zip(ids, x, strict=True) for number in v[i].tolist()]


def dense(layer: Any, inputs: list[float]) -> list[float]:
    biases = layer.bias.tolist() if layer.bias is not None else [0.0] * layer.out_features
    rows = layer.weight.tolist()
    return [sum(w * z for w, z in zip(row, inputs, strict=True)) + b for row, b in zip(rows, biases, strict=True)]


def perceptron(module: Any, inputs: list[float]) -> float:
    for layer in module.hidden:
        if isinstance(layer, torch.nn.Linear):
            inputs = [max(0.0, unit) for unit in dense(layer, inputs)]
    return dense(module.output, inputs)[0]


def linear(model: Any, ids: list[int], x: list[float]) -> float:
    return first_order(model, ids, x)


def poly2(model: Any, ids: list[int], x: list[float]) -> float:
    total = first_order(model, ids, x)
    present = [(i, value) for i, value in zip(ids, x, strict=True) if i]
    for (i, a), (j, b) in itertools.combinations(present, 2):
        mixed = (min(i, j) * 0x9E3779B1 + max(i, j)) % 2**47
        mixed = ((mixed ^ (mixed >> 15)) * 0x9E3779B1) % 2**47
        total += model.pairs.weight[(mixed ^ (mixed >> 15)) % model.pairs.num_embeddings].item() * a * b
    return total


def fm(model: Any, ids: list[int], x: list[float]) -> float:
    return first_order(model, ids, x) + pair_sum(model, ids, x).sum().item()


def hofm(model: Any, ids: list[int], x: list[float]) -> float:
    v = model.third.weight
    present = [(i, value) for i, value in zip(ids, x, strict=True) if i]
    triples = itertools.combinations(present, 3)
    return fm(model, ids, x) + sum((v[i] * v[j] * v[n]).sum().item() * a * b * c for (i, a), (j, b), (n, c) in triples)


def ffm(model: Any, ids: list[int], x: list[float]) -> float:
    v, k = model.aware.weight, model.k
    present = [(column, i, value) for column, (i, value) in enumerate(zip(ids, x, strict=True)) if i]
    total = first_order(model, ids, x)
    for (f, i, a), (g, j, b) in itertools.combinations(present, 2):
        total += sum(v[i, g * k + at].item() * v[j, f * k + at].item() for at in range(k)) * a * b
    return total


def afm(model: Any, ids: list[int], x: list[float]) -> float:
    return first_order(model, ids, x) + (model.p * attended(model, ids, x)).sum().item()


def deep_afm(model: Any, ids: list[int], x: list[float]) -> float:
    return afm(model, ids, x) + perceptron(model.deep, attended(model, ids, x).tolist())


def wide_deep(model: Any, ids: list[int], x: list[float]) -> float:
    return first_order(model, ids, x) + perceptron(model.deep, side_by_side(model, ids, x))


def deep_cross(model: Any, ids: list[int], x: list[float]) -> float:
    state = side_by_side(model, ids, x)
    for unit in model.units:
        change = dense(unit.back, [max(0.0, inner) for inner in dense(unit.into, state)])
        state = [max(0.0, a + b) for a, b in zip(state, change, strict=True)]
    return first_order(model, ids, x) + dense(model.output, state)[0]


def nfm(model: Any, ids: list[int], x: list[float]) -> float:
    return first_order(model, ids, x) + perceptron(model.deep, pair_sum(model, ids, x).tolist())


def deepfm(model: Any, ids: list[int], x: list[float]) -> float:
    return fm(model, ids, x) + perceptron(model.deep, side_by_side(model, ids, x))


def dcn_v2(model: Any, ids: list[int], x: list[float]) -> float:
    start = state = side_by_side(model, ids, x)
    for layer in model.cross:
        changed = state
        for factor in layer if isinstance(layer, torch.nn.Sequential) else [layer]:
            changed = dense(factor, changed)
        state = [a * w + z for a, w, z in zip(start, changed, state, strict=True)]
    return first_order(model, ids, x) + perceptron(model.deep, state)


LOOPS = {
    "linear": linear,
    "poly2": poly2,
    "fm": fm,
    "hofm": hofm,
    "ffm": ffm,
    "afm": afm,
    "deep_afm": deep_afm,
    "wide_deep": wide_deep,
    "deep_cross": deep_cross,
    "nfm": nfm,
    "deepfm": deepfm,
    "dcn_v2": dcn_v2,
}
