"""A publisher that dies between any two calls of its client leaves the previous version, or has published its own."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from afm_core.storage import hdfs_objects
from afm_core.storage.object_store import read_object
from tests.support.publishable_stores import PUBLISHABLE, fill, publishable_folder, remote

obstore = pytest.importorskip("obstore")


class Death(BaseException):
    """Nothing is called after it, as if the process had been killed."""


class Mortal:
    """Lets a number of calls pass."""

    def __init__(self, calls: int) -> None:
        self.left = calls

    def call(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any, **options: Any) -> Any:
            self.left -= 1
            if self.left < 0:
                raise Death
            found = function(*arguments, **options)
            return Proxy(self, found) if function.__name__ in ("create", "open_writer") else found

        return counted


class Proxy:
    """A client, or a file that is being written, whose calls are counted."""

    def __init__(self, mortal: Mortal, inner: Any) -> None:
        self.mortal, self.inner = mortal, inner

    def __getattr__(self, name: str) -> Any:
        return self.mortal.call(getattr(self.inner, name))


@contextmanager
def dying_after(calls: int) -> Iterator[Mortal]:
    mortal, client_of = Mortal(calls), hdfs_objects.client_of
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hdfs_objects, "client_of", lambda authority: Proxy(mortal, client_of(authority)))
        for name in ("get", "put", "list", "delete", "open_writer"):
            patch.setattr(obstore, name, mortal.call(getattr(obstore, name)))
        yield mortal


@pytest.mark.parametrize("kind", PUBLISHABLE)
def test_a_publisher_dies_between_two_calls(kind: str, request: pytest.FixtureRequest) -> None:
    with publishable_folder(request, kind) as root:
        place = remote(f"{root}/out")
        fill(place, "version 0")
        published: list[bool] = []
        for calls in range(100):
            before, text = place.current, f"version {calls + 1}"
            with dying_after(calls) as mortal:
                try:
                    fill(place, text)
                except Death:
                    assert mortal.left < 0
            now = place.current
            found = read_object(f"{now}/a")
            assert found, "the pointer names a version that is whole"
            assert (now != before) == (found.content == text.encode())
            published.append(now != before)
            if mortal.left >= 0:
                break
        assert published == sorted(published), "one call publishes"
        assert not published[0]
        assert published[-1]
        assert len(published) > 5
        survivor = fill(place, "afterwards")
        assert place.current == survivor
