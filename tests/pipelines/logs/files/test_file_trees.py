"""Every kind of storage gives the same answers about the same files."""

import bz2
import gzip
from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa
import pytest

from afm_core.errors import LogsError
from afm_core.settings.data import LogsSettings
from pipelines.logs.sources import LogSources, find_logs
from tests.support.storages import Storage

DAYS = {f"dt=2026-01-0{day}/a.csv": "x" for day in (1, 2, 3)}


def settings(**logs: object) -> LogsSettings:
    return LogsSettings.model_validate({"path": "anything", **logs})


def find(storage: Storage, name: str, is_night: bool = False, **logs: object) -> LogSources:
    return find_logs(storage.tree(name), settings(**logs), is_night=is_night)


@dataclass(frozen=True)
class Found:
    """Files, what is asked for, and what is found."""

    files: Mapping[str, str]
    asked: str
    paths: list[str]
    listed: list[str] | None = None
    """The files; None for the same as `paths`."""
    base: str = ""


DAY = "dt=2026-01-02"
FOUND = {
    "a file": Found({"a.csv": "x", "b.csv": ""}, "a.csv", ["a.csv"]),
    "a folder": Found({"x/b.csv": "x", "x/a.csv": "x"}, "x", ["x"], ["x/a.csv", "x/b.csv"], base="x"),
    "the root": Found(DAYS, "", [""], sorted(DAYS)),
    "folders": Found(DAYS, "dt=2026-01-0[12]", ["dt=2026-01-01", DAY], sorted(DAYS)[:2]),
    "a pattern in the middle": Found({"x/1/a": "", "y/1/a": "", "y/2/a": ""}, "*/1/*", ["x/1/a", "y/1/a"]),
    "one character": Found({"a1.csv": "", "a10.csv": ""}, "a?.csv", ["a1.csv"]),
    "a pattern that leads nowhere in places": Found({"x/a.csv": "", "y/b.csv": "", "z": ""}, "*/a.csv", ["x/a.csv"]),
    "braces are no pattern": Found({"a{1,2}.csv": "", "a1.csv": ""}, "*{1,2}.csv", ["a{1,2}.csv"]),
    "no hidden files": Found(
        {"x/a.csv": "", "x/_SUCCESS": "", "x/.b.csv": "", "x/_tmp/c.csv": "", "x/_d=1/d.csv": ""},
        "x",
        ["x"],
        ["x/_d=1/d.csv", "x/a.csv"],
        base="x",
    ),
    "no leading dot for a star": Found({".a.csv": "", "b.csv": ""}, "*.csv", ["b.csv"]),
    "an empty folder beside days": Found({**DAYS, "dt=2026-01-09/": ""}, "", [""], sorted(DAYS)),
    "folders that are no partitions": Found(
        {"x/a.csv": "", "x/y/b.csv": ""}, "x", ["x", "x/y"], ["x/a.csv", "x/y/b.csv"], base="x"
    ),
    "a day": Found(DAYS, DAY, [DAY], [f"{DAY}/a.csv"]),
    "a file of a day": Found(DAYS, f"{DAY}/a.csv", [f"{DAY}/a.csv"]),
    "an hour of a day": Found({f"{DAY}/h=1/a.csv": ""}, f"{DAY}/h=1", [f"{DAY}/h=1"], [f"{DAY}/h=1/a.csv"]),
}


@pytest.mark.parametrize("case", FOUND)
def test_what_is_found(storage: Storage, case: str) -> None:
    expected = FOUND[case]
    storage.write(expected.files)
    sources = find(storage, expected.asked)
    listed = expected.paths if expected.listed is None else expected.listed
    assert [storage.below(path) for path in sources.paths] == expected.paths
    assert [storage.below(file.path) for file in sources.files] == listed
    assert storage.below(sources.base) == expected.base
    assert [file.size for file in sources.files] == [len(expected.files[name]) for name in listed]


@pytest.mark.parametrize("name", ["a[1] {x,y} x", "100 %20", "day=x[1]", "ü # & é", "a+b", "what?"])
def test_a_path_that_exists_is_no_pattern(storage: Storage, name: str) -> None:
    storage.write({f"{name}/dt=2026-01-01/part 1.csv": "x", "a1": "x"})
    for asked in (name, f"{name}/dt=2026-01-01", f"{name}/dt=2026-01-01/part 1.csv"):
        sources = find(storage, asked)
        assert [storage.below(path) for path in sources.paths] == [asked]
        assert [storage.below(file.path) for file in sources.files] == [f"{name}/dt=2026-01-01/part 1.csv"]
        assert storage.below(sources.base) == name


ERRORS: dict[str, tuple[Mapping[str, str], str, dict[str, object], str]] = {
    "nothing": ({"b.csv": ""}, "a.csv", {}, "{path}: no logs there; set logs.path"),
    "no match": ({"b.csv": ""}, "a*.csv", {}, "{path}: no logs there; set logs.path"),
    "an empty folder": ({"x/": ""}, "x", {}, "{path}: an empty folder; logs.path must hold csv files"),
    "hidden files alone": ({"x/_a/b.csv": ""}, "x", {}, "{path}: an empty folder; logs.path must hold csv files"),
    "a hidden file": ({"_a.csv": ""}, "_a.csv", {}, "{path}: Spark skips names that begin with a dot"),
    "beside days": ({**DAYS, "z.csv": ""}, "", {}, "{path}/z.csv: lies beside dt= folders; move it into one of them"),
    "no day": (
        {"dt=1/a": ""},
        "",
        {"first_date": "2026-01-01"},
        "{path}/dt=1: logs.first_date and logs.last_date need",
    ),
}


@pytest.mark.parametrize("case", ERRORS)
def test_what_is_refused(storage: Storage, case: str) -> None:
    files, name, logs, message = ERRORS[case]
    storage.write(files)
    with pytest.raises(LogsError) as caught:
        find(storage, name, **logs)
    assert str(caught.value).startswith(message.format(path=storage.tree(name).path))


def test_a_file_is_read_as_it_is(storage: Storage) -> None:
    storage.write({"items.txt": "a1\r\nä2\n"})
    assert storage.tree("items.txt").read() == "a1\r\nä2\n".encode()
    with pytest.raises(LogsError, match=r"none\.txt: cannot be read"):
        storage.tree("none.txt").read()


def test_first_lines(storage: Storage) -> None:
    """Of plain and compressed files, whatever ends their lines; blank ones do not count."""
    texts = {"a.csv": "\n \t\r\n x,ü \r\n1,2\n", "b.csv": "", "c.csv": "q\rr", "d.csv": " \n", "e.csv": "last"}
    (storage.local / "f.csv.gz").write_bytes(gzip.compress(b"\nx,y\n" + b"1,2\n" * 100_000))
    (storage.local / "g.csv.bz2").write_bytes(bz2.compress(b"x,y\n"))
    with pa.CompressedOutputStream(str(storage.local / "h.csv.zst"), "zstd") as file:
        file.write(b"x,y\n" * 100_000)
    storage.write(texts)
    names = [*texts, "f.csv.gz", "g.csv.bz2", "h.csv.zst"]
    lines = storage.tree().first_lines([storage.root / name for name in names])
    assert lines == [" x,ü ".encode(), b"", b"q", b"", b"last", b"x,y", b"x,y", b"x,y"]
    with pytest.raises(LogsError, match=r"none\.csv: cannot be read"):
        storage.tree().first_lines([storage.root / "none.csv"])
