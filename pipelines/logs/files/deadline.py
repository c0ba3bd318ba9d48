"""Not waiting for a server that does not answer."""

import queue
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def within(seconds: float, call: Callable[[], T]) -> T:
    """The result of `call`, which goes on in a thread of its own, unheeded, where it takes longer.

    Raises:
        TimeoutError: it took longer.
        Exception: whatever `call` raised.
    """
    results: queue.SimpleQueue[tuple[T | None, BaseException | None]] = queue.SimpleQueue()

    def run() -> None:
        try:
            results.put((call(), None))
        except BaseException as error:  # raised where the result is waited for
            results.put((None, error))

    threading.Thread(target=run, daemon=True).start()  # the end of the process does not wait for it
    try:
        result, error = results.get(timeout=seconds)
    except queue.Empty:
        raise TimeoutError(f"no answer within {seconds:g} s") from None
    if error is not None:
        raise error
    return result  # type: ignore[return-value]
