"""Clients of namenodes that have answered; a process keeps them as long as it lives.

The address and the user come from the environment: `HADOOP_CONF_DIR`, `HADOOP_USER_NAME` and what else Hadoop has.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread
from typing import Any

from afm_core.errors import MachineError
from afm_core.storage.stored_objects import unreachable

_SECONDS = 12
_IMPATIENT = {  # seen: a namenode that is down is an error after 11 seconds, instead of 175
    "dfs.client.failover.max.attempts": "6",
    "dfs.client.failover.sleep.base.millis": "500",
    "dfs.client.failover.sleep.max.millis": "2000",
}
_clients: dict[tuple[object, ...], Any] = {}
"""They are never dropped: in a process that was forked they would wait for ever for their threads, which are not there.
"""
_processes: list[int] = []
"""The process that has made the first client."""


def client_of(authority: str, patient: bool = False) -> Any:
    """The client of a namenode, which has answered within a few seconds.

    Args:
        authority: `HOST:PORT`, a name of Hadoop's configuration, or empty for its default file system.
        patient: whether calls wait minutes for a namenode that is started again, as those of a long training do.

    Raises:
        MachineError: it does not answer, is not known, or hdfs-native is not installed; or this process was forked
            from one that has clients, where hdfs-native would wait for ever.
    """
    environment = tuple(sorted((name, value) for name, value in os.environ.items() if name.startswith("HADOOP_")))
    key = (authority, patient, environment)
    if _processes and os.getpid() not in _processes:
        raise MachineError(f"hdfs://{authority}: cannot be used in a process forked from one that uses HDFS; spawn it")
    if key not in _clients:
        _processes.append(os.getpid())
        _clients[key] = _new_client(f"hdfs://{authority}", {} if patient else _IMPATIENT)
    return _clients[key]


def _new_client(root: str, settings: dict[str, str]) -> Any:
    try:
        from hdfs_native import Client
    except ImportError as error:
        raise MachineError(f"{root}: this needs the package hdfs-native; install the extra hdfs") from error
    with one_line_hdfs_errors(root):
        client = Client(root, settings)
        _require_answer(client)
    return client


def _require_answer(client: Any) -> None:
    """Raise OSError if the namenode does not answer: the client itself waits for ever for one that is only silent."""
    errors: list[Exception] = [OSError(f"no answer within {_SECONDS} s")]

    def ask() -> None:
        try:
            client.get_file_info("/")
            errors.clear()
        except Exception as error:
            errors[:] = [error]

    thread = Thread(target=ask, daemon=True)
    thread.start()
    thread.join(_SECONDS)
    if errors:
        raise errors[0]


@contextmanager
def one_line_hdfs_errors(url: str) -> Iterator[None]:
    """Turn the errors of the client inside the block into a MachineError of one line."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        if "No NameNode hosts" in str(error) or "fs.defaultFS" in str(error):
            reason = OSError("Hadoop's configuration does not name it; say hdfs://HOST:PORT/, or set HADOOP_CONF_DIR")
            raise unreachable(url, reason) from error
        raise unreachable(url, error) from error
