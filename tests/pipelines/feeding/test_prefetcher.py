import threading
import time
from collections.abc import Iterator

import pytest

from pipelines.feeding.prefetcher import Prefetcher


def test_items_come_in_order_and_are_finished_ahead() -> None:
    assert list(Prefetcher(iter(range(20)), lambda item: item * 10)) == list(range(0, 200, 10))


def test_an_error_reaches_whoever_asks_after_the_items_before_it() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise OSError("the disk")

    ahead = iter(Prefetcher(items()))
    assert next(ahead) == 1
    with pytest.raises(OSError, match="the disk"):
        next(ahead)


def test_leaving_early_ends_the_thread_and_closes_what_the_items_hold() -> None:
    closed = threading.Event()

    def items() -> Iterator[int]:
        try:
            while True:
                yield 1
        finally:
            closed.set()

    ahead = iter(Prefetcher(items()))
    assert next(ahead) == 1
    ahead.close()
    assert closed.is_set()
    assert not [thread for thread in threading.enumerate() if thread.name == "feed"]


def test_waiting_is_counted() -> None:
    def slow() -> Iterator[int]:
        for item in range(3):
            time.sleep(0.05)
            yield item

    ahead = Prefetcher(slow())
    assert list(ahead) == [0, 1, 2]
    assert 0.1 < ahead.waited < 5
