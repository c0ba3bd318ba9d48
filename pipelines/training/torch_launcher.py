"""Running work on the ranks that torchrun, or another launcher of torch.distributed, has started."""

import os
from collections.abc import Callable
from datetime import timedelta
from typing import TypeVar

import torch
from torch import distributed

from afm_core.errors import LostRankError
from afm_core.settings import Settings
from pipelines.training.collectives import LostPeerError
from pipelines.training.communicator import Communicator
from pipelines.training.connected_ranks import ConnectedRanks, lost_rank
from pipelines.training.cores import pin_to_own_cores
from pipelines.training.run_lock import run_held_by_rank_0
from pipelines.training.torch_collectives import TorchCollectives
from pipelines.training.torch_rendezvous import store_of_this_start

R = TypeVar("R")


def has_started_this_process() -> bool:
    """Whether the variables are set from which torch makes its process group."""
    return {"RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"} <= os.environ.keys()


def _connect(timeout: timedelta) -> None:
    """Make the default process group.

    Raises:
        LostRankError: a rank has not come within the timeout, or was lost.
    """
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    try:
        store, rank, size = next(distributed.rendezvous("env://", timeout=timeout))  # type: ignore[attr-defined]
        own = store_of_this_start(store, rank, size, timeout)
        distributed.init_process_group(backend, store=own, rank=rank, world_size=size, timeout=timeout)
    except RuntimeError as error:
        raise LostRankError(
            f"rank {os.environ['RANK']} of {os.environ['WORLD_SIZE']} found no connection to the others: "
            f"{str(error).splitlines()[0]}; start them again, with --resume auto if they had begun"
        ) from error


def run(settings: Settings, work: Callable[[Communicator, bool], R], resume: bool) -> R:
    """As `run_on_ranks`. A rank that torchrun has restarted (--max-restarts) continues from the last checkpoint."""
    local_rank, local_size = int(os.environ.get("LOCAL_RANK", "0")), int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    resume = resume or int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")) > 0
    pin_to_own_cores(local_rank, local_size)
    _connect(timedelta(seconds=settings.train.stall_seconds))
    collectives, ranks = TorchCollectives(local_rank, local_size), None
    try:
        with run_held_by_rank_0(settings.run, resume, collectives) as require_run:
            elastic = int(os.environ.get("TORCHELASTIC_MAX_RESTARTS", "0")) > 0
            ranks = ConnectedRanks(collectives, settings.run.rank_heartbeats, require_run, elastic=elastic)
            result = work(ranks, resume)
    except LostPeerError as error:
        raise lost_rank(collectives, ranks) from error
    distributed.destroy_process_group()
    return result
