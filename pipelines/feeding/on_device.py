"""Batches on the device that computes with them."""

from collections.abc import Iterator

import torch

from pipelines.feeding.batch import Batch
from pipelines.feeding.prefetcher import Prefetcher


def on_device(batches: Iterator[Batch], device: torch.device) -> Prefetcher[Batch]:
    """Prefetch batches in a thread; they are copied to a GPU while it computes the batch before."""
    if device.type == "cpu":
        return Prefetcher(batches)
    return Prefetcher(batches, lambda batch: batch.pinned().to(device))
