"""A file appears as a whole or not at all."""

from pathlib import Path

import pytest

from afm_core.storage.atomic import replacing, write_json, write_text


def test_a_file_is_replaced_when_the_block_ends(tmp_path: Path) -> None:
    path = tmp_path / "report.md"
    write_text(path, "old")
    with replacing(path) as unfinished:
        unfinished.write_text("new")
        assert unfinished.name.startswith("."), "neither Spark nor pyarrow reads it"
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_an_error_leaves_the_previous_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    write_json(path, {"rows": 1})
    before = path.read_bytes()
    with pytest.raises(UnicodeEncodeError), replacing(path) as unfinished:
        unfinished.write_text("half \ud800", encoding="utf-8")
    with pytest.raises(TypeError):
        write_json(path, {"rows": object()})
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_two_writers_do_not_share_an_unfinished_file(tmp_path: Path) -> None:
    path = tmp_path / "report.md"
    with replacing(path) as one, replacing(path) as other:
        assert one != other
        one.write_text("one")
        other.write_text("other")
    assert path.read_text() == "one", "the last to finish wins"
