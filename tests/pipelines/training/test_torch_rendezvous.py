"""Ranks find each other in a store that still holds what an earlier start has written."""

import threading
import time
from datetime import timedelta

import pytest
from torch.distributed import HashStore, Store

from pipelines.training.torch_rendezvous import store_of_this_start

TIMEOUT = timedelta(seconds=20)


def start(store: Store, size: int, late: float = 0.0) -> list[Store]:
    """The store of each rank, of which rank 1 comes late."""
    found: dict[int, Store] = {}

    def join(rank: int) -> None:
        time.sleep(late if rank == 1 else 0.0)
        found[rank] = store_of_this_start(store, rank, size, TIMEOUT)

    threads = [threading.Thread(target=join, args=[rank]) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [found[rank] for rank in range(size)]


def test_every_start_has_a_part_of_its_own() -> None:
    store = HashStore()
    for attempt in ("first", "second", "third"):
        parts = start(store, 3, late=0.3)
        assert not parts[0].check(["address"])
        parts[1].set("address", attempt)
        assert {part.get("address").decode() for part in parts} == {attempt}


def test_a_start_after_one_that_never_was_complete() -> None:
    """The ranks that had come are gone, and what they have written stays."""
    store = HashStore()
    for rank in (0, 1):
        with pytest.raises(RuntimeError):
            store_of_this_start(store, rank, 3, timedelta(seconds=0.2))
    parts = start(store, 3)
    parts[2].set("address", "new")
    assert {part.get("address").decode() for part in parts} == {"new"}


def test_a_rank_that_does_not_come_is_named() -> None:
    with pytest.raises(RuntimeError, match=r"ranks \[1\] have not come"):
        store_of_this_start(HashStore(), 0, 2, timedelta(seconds=0.2))
