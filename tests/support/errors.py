"""How far results of pair attention are from those that are wanted."""

from torch import Tensor

Gradients = tuple[Tensor, ...]


def worst(found: tuple[Tensor, Tensor, Gradients], wanted: tuple[Tensor, Tensor, Gradients]) -> dict[str, float]:
    """Largest difference of each result, relative to the largest value of what is wanted.

    d_W, d_b and d_h are sums that cancel (the gradients of a softmax add up to 0): what is left of a few rows may be
    nothing, so a gradient is held to a hundredth of the largest of the four at least, d_b and d_h to a tenth: where
    ReLU lets all pairs of a row pass, the row's share of d_b is exactly 0, a sum of terms that are not, and where the
    pairs of a batch are few, their active values and so the terms of d_h hardly differ.
    """
    largest = max([float(gradient.abs().max()) for gradient in wanted[2] if gradient.numel()], default=0.0)
    floors = [1e-12, 1e-12, *(max(1e-12, largest / share) for share in (100, 100, 10, 10))]
    names = ("pooled", "weights", "d_v", "d_W", "d_b", "d_h")
    results = zip(names, (*found[:2], *found[2]), (*wanted[:2], *wanted[2]), floors, strict=True)
    return {
        name: float((ours.double() - theirs).abs().max() / theirs.abs().max().clamp(min=floor))
        for name, ours, theirs, floor in results
    }
