"""Preparing the next items in a thread while the last one is used."""

import time
from collections.abc import Callable, Iterator
from queue import Full, Queue
from threading import Event, Thread
from typing import Generic, TypeVar

T = TypeVar("T")

_MAX_READY = 4
_POLL_SECONDS = 0.1


class Prefetcher(Generic[T]):
    """An iterator over `items`, which a thread computes a few items ahead.

    Ending the iteration early ends the thread, which closes `items` if it is a generator.
    """

    def __init__(self, items: Iterator[T], finish: Callable[[T], T] = lambda item: item) -> None:
        """Start the thread.

        Args:
            finish: applied to each item in the thread, such as a copy into pinned memory.
        """
        self._items, self._finish = items, finish
        self._ready: Queue[T | _End] = Queue(_MAX_READY)
        self._stopped = Event()
        self._thread = Thread(target=self._fill, name="feed", daemon=True)
        self._thread.start()
        self.waited = 0.0
        """Seconds that the consumer has waited for items."""

    def __iter__(self) -> Iterator[T]:
        try:
            while True:
                start = time.monotonic()
                item = self._ready.get()
                self.waited += time.monotonic() - start
                if isinstance(item, _End):
                    if item.error:
                        raise item.error
                    return
                yield item
        finally:
            self._stopped.set()
            self._thread.join()

    def _fill(self) -> None:
        error = None
        try:
            for item in self._items:
                self._offer(self._finish(item))
                if self._stopped.is_set():
                    break
        except BaseException as raised:
            error = raised
        finally:
            close = getattr(self._items, "close", None)
            if close:
                close()
        self._offer(_End(error))

    def _offer(self, item: "T | _End") -> None:
        """Wait for room in the queue, unless the iteration has ended."""
        while not self._stopped.is_set():
            try:
                self._ready.put(item, timeout=_POLL_SECONDS)
                return
            except Full:
                continue


class _End:
    def __init__(self, error: BaseException | None) -> None:
        self.error = error
