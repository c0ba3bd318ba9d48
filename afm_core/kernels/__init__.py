"""Pair attention: the pair-wise interactions of a batch and their attention."""

from afm_core.kernels.reference import pair_attention, pair_indices

__all__ = ["pair_attention", "pair_indices"]
