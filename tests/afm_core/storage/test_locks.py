"""One run at a time, whatever becomes of the file of its lock."""

import errno
import fcntl
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from afm_core.errors import BusyError, MachineError
from afm_core.storage.locks import LOCK, locked
from afm_core.storage.places import Place
from afm_core.storage.publishing import staged
from tests.support.waiting import wait_for


def test_a_held_lock_names_its_holder_and_is_released(tmp_path: Path) -> None:
    held = f"held by process {os.getpid()} on {socket.gethostname()}"
    with locked(tmp_path), pytest.raises(BusyError, match=held), locked(tmp_path):
        pass
    with locked(tmp_path):
        pass
    assert (tmp_path / LOCK).read_text() == "", "nobody is named when nobody holds it"


def test_the_lock_of_a_process_that_was_killed_is_broken(tmp_path: Path) -> None:
    code = (
        "import os, signal; from pathlib import Path; from afm_core.storage.locks import locked\n"
        f"with locked(Path({str(tmp_path)!r})): os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9
    assert (tmp_path / LOCK).exists()
    with locked(tmp_path):
        pass


@pytest.mark.parametrize("content", ['{"host": "another", "pid": 1}', "", "not JSON"])
def test_what_a_lock_file_says_decides_nothing(tmp_path: Path, content: str) -> None:
    """Neither a file that a crash left behind, nor a clock, nor the number of another process keeps a run out."""
    (tmp_path / LOCK).write_text(content)
    to_come = (tmp_path / LOCK).stat().st_mtime + 3600
    os.utime(tmp_path / LOCK, (to_come, to_come))
    with locked(tmp_path):
        pass


def test_a_living_holder_keeps_others_out_whatever_the_file_says(tmp_path: Path) -> None:
    """As in another PID namespace or on another host, whose process numbers mean nothing here."""
    with locked(tmp_path):
        (tmp_path / LOCK).write_text('{"host": "another", "pid": 4194304, "started": "2020-01-01"}')
        os.utime(tmp_path / LOCK, (0, 0))
        with pytest.raises(BusyError, match="held by process 4194304 on another"), locked(tmp_path):
            pass


def test_of_many_processes_one_at_a_time_holds_the_lock(tmp_path: Path) -> None:
    """Each adds one to a number in a file, which comes out right only if no two do so at once."""
    (tmp_path / "n").write_text("0")
    code = (
        "from pathlib import Path; from afm_core.errors import BusyError; from afm_core.storage.locks import locked\n"
        f"folder, left = Path({str(tmp_path)!r}), 20\n"
        "while left:\n"
        "    try:\n"
        "        with locked(folder):\n"
        "            (folder / 'n').write_text(str(int((folder / 'n').read_text()) + 1))\n"
        "            left -= 1\n"
        "    except BusyError:\n"
        "        pass\n"
    )
    running = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(3)]
    assert [process.wait(timeout=120) for process in running] == [0, 0, 0]
    assert (tmp_path / "n").read_text() == "60"


def test_a_file_system_without_flock_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unsupported(file: object, operation: int) -> None:
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    monkeypatch.setattr("fcntl.flock", unsupported)
    with pytest.raises(MachineError, match="use a file system that supports flock"), locked(tmp_path):
        pass


@pytest.mark.parametrize("namespace", ["inside", "outside"])
def test_processes_in_other_namespaces_keep_each_other_out(tmp_path: Path, namespace: str) -> None:
    """As two containers on one volume: same host name, each with a process 1, each a stranger to the other."""
    if subprocess.run([*NAMESPACE, "true"], capture_output=True, check=False).returncode:
        pytest.skip("the kernel lets this user create no PID namespace")
    holder = [sys.executable, "-c", HOLDER, str(tmp_path)]
    process = subprocess.Popen(
        [*NAMESPACE, *holder] if namespace == "inside" else holder, stdin=subprocess.PIPE, text=True
    )
    wait_for(lambda: list((tmp_path / "out.versions").glob(".staging-*/half")), "a stage is being written", process)
    second = [sys.executable, "-c", SECOND, str(tmp_path)]
    other = subprocess.run(
        second if namespace == "inside" else [*NAMESPACE, *second], capture_output=True, text=True, check=False
    )
    assert "_lock: held by process" in other.stdout, other.stderr
    process.communicate("\n", timeout=60)
    assert process.returncode == 0, "its stage was still there"
    assert (tmp_path / "out" / "a").read_text() == "first"
    with locked(tmp_path):
        pass


NAMESPACE = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc"]
HOLDER = """
import sys
from pathlib import Path
from afm_core.storage.locks import locked
from afm_core.storage.places import Place
from afm_core.storage.publishing import staged
folder = Path(sys.argv[1])
with locked(folder), staged(Place.of(folder / "out"), ("a",)) as stage:
    (stage / "half").touch()
    sys.stdin.readline()
    (stage / "a").write_text("first")
"""
SECOND = """
import sys
from pathlib import Path
from afm_core.errors import BusyError
from afm_core.storage import cleanup
from afm_core.storage.locks import locked
from afm_core.storage.places import Place
from afm_core.storage.publishing import staged
cleanup.GRACE_SECONDS = 0
folder = Path(sys.argv[1])
with staged(Place.of(folder / "out"), ("a",)) as stage:  # publishing needs no lock, and cleans up
    (stage / "a").write_text("second")
try:
    with locked(folder):
        print("both hold the lock")
except BusyError as error:
    print(error)
"""


@pytest.mark.parametrize("how", ["removed", "replaced", "folder moved"])
def test_who_lost_the_lock_publishes_nothing(tmp_path: Path, how: str) -> None:
    folder, place = tmp_path / "nights", Place.of(tmp_path / "out")

    def lose_it_while_publishing() -> None:
        with locked(folder) as first, staged(place, ("a",), first.require_held) as stage:
            first.require_held()
            (stage / "a").write_text("first")
            match how:
                case "removed":
                    (folder / LOCK).unlink()
                case "replaced":
                    (folder / "other").touch()
                    (folder / "other").replace(folder / LOCK)
                case _:
                    folder.rename(tmp_path / "elsewhere")
            with locked(folder) as second, staged(place, ("a",), second.require_held) as stage:
                (stage / "a").write_text("second")

    with pytest.raises(BusyError, match=r"_lock: was removed or replaced .* publishes nothing"):
        lose_it_while_publishing()
    assert (tmp_path / "out" / "a").read_text() == "second"
    with locked(folder):
        pass


def test_a_lock_that_the_file_system_lost_is_taken_again_or_publishes_nothing(tmp_path: Path) -> None:
    """As NFS loses them after an interruption: somebody else may hold it by now, on the same file."""

    def lose_it() -> None:
        descriptors = [link for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
        (ours,) = [int(link.name) for link in descriptors if link.resolve() == tmp_path / LOCK]
        fcntl.flock(ours, fcntl.LOCK_UN)

    with locked(tmp_path) as first:
        lose_it()
        first.require_held()
        with pytest.raises(BusyError), locked(tmp_path):
            pass
        lose_it()
        with locked(tmp_path), pytest.raises(BusyError, match="_lock: was lost"):
            first.require_held()


@pytest.mark.parametrize("kind", ["symbolic link", "hard link", "pipe"])
def test_what_was_planted_as_a_lock_is_named_and_not_touched(tmp_path: Path, kind: str) -> None:
    victim, folder = tmp_path / "victim", tmp_path / "nights"
    victim.write_text("precious")
    folder.mkdir()
    match kind:
        case "symbolic link":
            (folder / LOCK).symlink_to(victim)
        case "hard link":
            (folder / LOCK).hardlink_to(victim)
        case _:
            os.mkfifo(folder / LOCK)
    with pytest.raises(MachineError, match=rf"{LOCK}: is .*; remove (it|the link), and run it again"), locked(folder):
        pass
    assert victim.read_text() == "precious"
