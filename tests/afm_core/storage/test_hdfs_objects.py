"""What is particular to HDFS: states, unfinished files, folders, and a namenode that does not answer."""

import os
import signal
import socket
import subprocess
import sys
import time
from multiprocessing import get_context
from pathlib import Path
from uuid import uuid4

import pytest

from afm_core.errors import MachineError, RepublishedError
from afm_core.storage import hdfs_objects
from afm_core.storage.object_store import (
    create_object,
    delete_objects,
    folders_in,
    objects_below,
    read_object,
    replace_object,
    write_object,
)
from afm_core.storage.paths import to_path
from tests.support.remote_stores import Store

pytest.importorskip("hdfs_native")


@pytest.fixture
def root(hdfs: Store) -> str:
    return f"{hdfs.root}{uuid4().hex}"


def raw(root: str) -> list[str]:
    """The names of everything in a folder."""
    client, path = hdfs_objects.client_and_path(root)
    return sorted(found.path.rpartition("/")[2] for found in client.list_status(path))


def content(url: str) -> bytes:
    found = read_object(url)
    return found.content if found else b""


def die_while_writing(url: str) -> None:
    with create_object(url) as file:
        file.write(b"x" * 3 * 2**20)
        os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.cluster
def test_old_states_are_removed(root: str) -> None:
    for number in range(23):
        replace_object(f"{root}/pointer.json", b"%d" % number, read_object(f"{root}/pointer.json"))
    assert raw(root) == [f"pointer.json.{number:020d}" for number in range(4, 24)]


@pytest.mark.cluster
def test_a_pointer_that_was_copied_from_a_bucket_is_replaced_like_any_other(root: str) -> None:
    url = f"{root}/pointer.json"
    write_object(url, b"copied")
    copied = read_object(url)
    assert copied == (b"copied", "0")
    replace_object(url, b"1", copied)
    assert content(url) == b"1"
    with pytest.raises(RepublishedError):
        replace_object(url, b"2", copied)
    assert objects_below(root) == ["pointer.json"]


@pytest.mark.cluster
def test_what_a_killed_process_has_left_is_not_seen_and_goes_with_its_folder(root: str) -> None:
    url = f"{root}/out-versions/half/part"
    process = get_context("spawn").Process(target=die_while_writing, args=(url,))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    (left,) = raw(f"{root}/out-versions/half")
    assert left.startswith(".part.")
    assert objects_below(root) == []
    assert read_object(url) is None
    assert folders_in(f"{root}/out-versions") == ["half"]
    delete_objects(f"{root}/out-versions/half")
    assert folders_in(f"{root}/out-versions") == []


@pytest.mark.cluster
def test_what_a_killed_publisher_has_left_beside_a_pointer_is_removed_after_a_day(root: str) -> None:
    client, path = hdfs_objects.client_and_path(root)
    now = int(time.time() * 1000)
    for age, name in ((0, "new"), (2 * 24 * 3600 * 1000, "old")):
        file = f"{path}/.pointer.json.{name.encode().hex():0>32}.unfinished"
        client.create(file).close()
        client.set_times(file, now - age, now - age)
    replace_object(f"{root}/pointer.json", b"1", None)
    assert raw(root) == [f".pointer.json.{b'new'.hex():0>32}.unfinished", f"pointer.json.{1:020d}"]


@pytest.mark.cluster
def test_empty_folders_are_no_objects(root: str) -> None:
    client, path = hdfs_objects.client_and_path(root)
    client.mkdirs(f"{path}/empty/deep", create_parent=True)
    assert objects_below(root) == []
    write_object(f"{root}/a", b"")
    assert objects_below(root) == ["a"]


@pytest.mark.cluster
def test_an_answer_that_was_lost_does_not_hide_a_success(root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The client tries again when a connection breaks, and then finds the state that it has made itself."""
    client, _ = hdfs_objects.client_and_path(root)

    class Retrying:
        def __getattr__(self, name: str) -> object:
            return getattr(client, name)

        def rename(self, source: str, target: str, overwrite: bool = False) -> None:
            client.rename(source, target, overwrite)
            client.create(target)

    monkeypatch.setattr(hdfs_objects, "client_of", lambda authority: Retrying())
    replace_object(f"{root}/pointer.json", b"1", None)
    assert read_object(f"{root}/pointer.json") == (b"1", "1")


@pytest.mark.cluster
@pytest.mark.parametrize("name", ["", "shops"])
def test_names_of_hadoops_configuration(
    hdfs: Store, root: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {
        "fs.defaultFS": str(hdfs.root),
        "dfs.ha.namenodes.shops": "first",
        "dfs.namenode.rpc-address.shops.first": hdfs.root.authority,
    }
    rows = "".join(f"<property><name>{key}</name><value>{value}</value></property>" for key, value in settings.items())
    (tmp_path / "core-site.xml").write_text(f"<configuration>{rows}</configuration>")
    monkeypatch.setenv("HADOOP_CONF_DIR", str(tmp_path))
    url = f"hdfs://{name}/{root.rpartition('/')[2]}/a"
    write_object(url, b"1")
    assert content(url) == content(f"{root}/a") == b"1"
    path = to_path(url)
    assert str(path) == url
    assert path.read_bytes() == b"1"
    assert [str(found) for found in path.parent.iterdir()] == [url]


def leave_its_group() -> None:
    """What is called in a child between fork and exec makes Python fork by itself, as PySpark does to start Java."""


@pytest.mark.cluster
def test_a_process_that_uses_hdfs_can_start_others_and_a_forked_one_is_refused(root: str) -> None:
    write_object(f"{root}/a", b"1")
    path = to_path(f"{root}/a")
    assert path.read_bytes() == b"1"
    subprocess.run(["true"], preexec_fn=leave_its_group, timeout=20, check=True)
    child = get_context("fork").Process(target=exit_with_1_if_refused, args=(f"{root}/a",))
    child.start()
    child.join(20)
    assert child.exitcode == 1
    assert path.read_bytes() == b"1"


def exit_with_1_if_refused(url: str) -> None:
    try:
        read_object(url)
    except MachineError:
        os._exit(1)


@pytest.mark.parametrize(
    ("host", "reason"), [("127.0.0.1:9", "Connection refused"), ("nowhere.invalid:8020", "failed to lookup address")]
)
def test_a_namenode_that_is_not_there_is_one_line_in_time(host: str, reason: str) -> None:
    start = time.monotonic()
    with pytest.raises(MachineError) as caught:
        read_object(f"hdfs://{host}/pointer.json")
    assert str(caught.value).startswith(f"hdfs://{host}: cannot be reached: {reason}")
    assert len(str(caught.value).splitlines()) == 1
    assert time.monotonic() - start < 15


def test_a_namenode_that_is_silent_is_one_line_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        host = f"127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(MachineError, match=f"^hdfs://{host}: cannot be reached: no answer within 12 s$"):
            write_object(f"hdfs://{host}/pointer.json", b"")


@pytest.mark.parametrize("url", ["hdfs:///a", "hdfs://nameservice/a"])
def test_a_cluster_without_configuration_is_one_line(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HADOOP_CONF_DIR", raising=False)
    monkeypatch.delenv("HADOOP_HOME", raising=False)
    with pytest.raises(MachineError, match=r"cannot be reached: .*set HADOOP_CONF_DIR$"):
        read_object(url)


def test_a_missing_package_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "hdfs_native", None)
    with pytest.raises(MachineError, match="hdfs://node:8020: this needs the package hdfs-native; install"):
        read_object("hdfs://node:8020/a")
