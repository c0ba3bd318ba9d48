"""Making the next items ready while the last one is used."""

import time
from collections.abc import Callable, Iterator
from queue import Full, Queue
from threading import Event, Thread
from typing import Generic, TypeVar

T = TypeVar("T")

_READY = 4
_SECONDS_BETWEEN_LOOKS = 0.1


class Prefetcher(Generic[T]):
    """An iterator over `items` that are made in a thread of their own, a few ahead of whoever asks.

    Leaving early ends the thread, and what `items` holds open is closed in it.
    """

    def __init__(self, items: Iterator[T], finish: Callable[[T], T] = lambda item: item) -> None:
        """Start the thread.

        Args:
            finish: what else it does to each item, such as putting it into pinned memory.
        """
        self._items, self._finish = items, finish
        self._ready: Queue[T | _End] = Queue(_READY)
        self._left = Event()
        self._thread = Thread(target=self._fill, name="feed", daemon=True)
        self._thread.start()
        self.waited = 0.0
        """Seconds that whoever asked had to wait."""

    def __iter__(self) -> Iterator[T]:
        try:
            while True:
                before = time.monotonic()
                item = self._ready.get()
                self.waited += time.monotonic() - before
                if isinstance(item, _End):
                    if item.error:
                        raise item.error
                    return
                yield item
        finally:
            self._left.set()
            self._thread.join()

    def _fill(self) -> None:
        error = None
        try:
            for item in self._items:
                self._offer(self._finish(item))
                if self._left.is_set():
                    break
        except BaseException as found:
            error = found
        finally:
            close = getattr(self._items, "close", None)
            if close:
                close()
        self._offer(_End(error))

    def _offer(self, item: "T | _End") -> None:
        """Wait for room, but not for somebody who has left."""
        while not self._left.is_set():
            try:
                self._ready.put(item, timeout=_SECONDS_BETWEEN_LOOKS)
                return
            except Full:
                continue


class _End:
    def __init__(self, error: BaseException | None) -> None:
        self.error = error
