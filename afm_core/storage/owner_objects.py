"""Who writes below a URL: an object that names the owner, because neither object stores nor HDFS can lock.

It is created, taken over and given back by conditional puts, so that of several only one succeeds. A process that was
killed stays the owner until another one takes over; an owner that is still alive then finds that it is none any more
before it publishes the next time.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from uuid import uuid4

from afm_core.errors import AfmError, BusyError, RepublishedError
from afm_core.storage.locks import named, this_process
from afm_core.storage.object_store import read_object, replace_object
from afm_core.storage.stored_objects import Object

_NOBODY: dict[str, str | int] = {}


class Ownership:
    """What this process owns, or owned."""

    def __init__(self, url: str, token: str) -> None:
        self._url, self._token = url, token

    def require_held(self) -> None:
        """Make sure that nobody has taken over.

        Raises:
            BusyError: somebody has; the message names it.
            MachineError: the store cannot be reached, or does not let us read.
        """
        facts = _facts(read_object(self._url))
        if facts.get("token") != self._token:
            raise BusyError(
                f"{self._url}: {named(facts)} has taken over from this run, which publishes nothing more; let that one "
                "finish"
            )


@contextmanager
def owned(url: str, take_over: bool) -> Iterator[Ownership]:
    """Own what an object stands for, for the length of the block.

    Args:
        take_over: take the place of another owner, which publishes nothing more.

    Raises:
        BusyError: somebody else owns it; the message names it and says how to take over.
        MachineError: the store cannot be reached, or does not let us write.
    """
    before, token = read_object(url), uuid4().hex
    if _facts(before) and not take_over:
        raise BusyError(
            f"{url}: held by {named(_facts(before))}; retry when it has ended; if it was killed, continue it with "
            f"--resume auto, or remove {url}*"
        )
    try:
        replace_object(url, _content({**this_process(), "token": token}), before)
    except RepublishedError as error:
        raise BusyError(f"{url}: another run has just begun there; retry when it has ended") from error
    try:
        yield Ownership(url, token)
    finally:
        with suppress(AfmError):  # the store is away: as after a crash, the next one takes over
            now = read_object(url)
            if _facts(now).get("token") == token:
                replace_object(url, _content(_NOBODY), now)


def _content(facts: dict[str, str | int]) -> bytes:
    return json.dumps(facts).encode()


def _facts(found: Object | None) -> dict[str, str | int]:
    try:
        facts = json.loads(found.content) if found else _NOBODY
    except ValueError:
        return {"token": "unreadable"}
    return facts if isinstance(facts, dict) else {"token": "unreadable"}
