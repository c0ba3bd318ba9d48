"""The operations that publishing is made of mean the same in a bucket and in HDFS."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from afm_core.errors import RepublishedError
from afm_core.storage.object_store import (
    create_object,
    delete_objects,
    folders_in,
    objects_below,
    read_object,
    replace_object,
    write_object,
)
from tests.support.publishable_stores import BUCKET, PUBLISHABLE, publishable_folder

PART = 5 * 2**20


@pytest.fixture(params=PUBLISHABLE)
def root(request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of a folder where nothing is."""
    with publishable_folder(request, request.param) as folder:
        yield folder
        if request.param == "bucket":
            uploads = pytest.importorskip("boto3").client("s3").list_multipart_uploads(Bucket=BUCKET)
            assert "Uploads" not in uploads, "parts of an unfinished object were left"


def content_of(url: str) -> bytes | None:
    found = read_object(url)
    return found.content if found else None


def test_what_is_written_in_pieces_appears_when_it_is_complete(root: str) -> None:
    pieces = [bytes([number]) * PART for number in range(5)]
    with create_object(f"{root}/large") as file:
        for piece in pieces:
            file.write(piece)
        assert read_object(f"{root}/large") is None
        assert objects_below(root) == []
    assert content_of(f"{root}/large") == b"".join(pieces)
    assert objects_below(root) == ["large"]


@pytest.mark.parametrize("pieces", [1, 5])
def test_what_fails_in_between_leaves_what_was_there(root: str, pieces: int) -> None:
    write_object(f"{root}/large", b"old")

    def fail() -> None:
        with create_object(f"{root}/large") as file:
            for _ in range(pieces):
                file.write(b"x" * PART)
            raise FileNotFoundError("a reason of its own")

    with pytest.raises(FileNotFoundError, match="a reason of its own"):
        fail()
    assert content_of(f"{root}/large") == b"old"
    assert objects_below(root) == ["large"]


def test_a_table_is_written_in_pieces(root: str) -> None:
    table = pa.table({"a": range(100_000)})
    with create_object(f"{root}/a.parquet") as file:
        pq.write_table(table, file, row_group_size=10_000)
    with create_object(f"{root}/b.parquet") as file, pq.ParquetWriter(file, table.schema) as writer:
        writer.write_table(table)
        writer.close()
        file.close()
    for name in ("a", "b"):
        content = content_of(f"{root}/{name}.parquet")
        assert content is not None
        assert pq.read_table(pa.BufferReader(content)).equals(table)


def test_an_empty_object(root: str) -> None:
    with create_object(f"{root}/none"):
        pass
    assert content_of(f"{root}/none") == b""


def test_what_is_replaced_is_what_was_read(root: str) -> None:
    url = f"{root}/pointer.json"
    assert read_object(url) is None
    replace_object(url, b"1", None)
    first = read_object(url)
    assert first
    with pytest.raises(RepublishedError, match="another run has published there"):
        replace_object(url, b"2", None)
    replace_object(url, b"2", first)
    with pytest.raises(RepublishedError, match="another run has published there"):
        replace_object(url, b"3", first)
    assert content_of(url) == b"2"
    assert objects_below(root) == ["pointer.json"]


@pytest.mark.cluster
@pytest.mark.parametrize("kind", ["s3", "hdfs"])
def test_of_many_who_replace_the_same_one_succeeds(kind: str, request: pytest.FixtureRequest) -> None:
    """On real servers: moto's takes two puts of one tag that come at once.

    All contents differ, as pointers do: the tag is a checksum, and replacing a content by an equal one keeps it.
    """
    with publishable_folder(request, kind) as root:
        url = f"{root}/pointer.json"
        replace_object(url, b"before", None)
        for at in range(3):
            before = read_object(url)

            def replace(content: bytes) -> bytes:
                try:
                    replace_object(url, content, before)  # noqa: B023 - called within the loop
                except RepublishedError:
                    return b""
                return content

            contents = [b"%d of round %d" % (number, at) for number in range(8)]
            with ThreadPoolExecutor(8) as threads:
                succeeded = [content for content in threads.map(replace, contents) if content]
            assert [content_of(url)] == succeeded


def test_what_was_read_long_ago_is_not_replaced(root: str) -> None:
    """States of HDFS are removed when they are old, and must not be made again."""
    url = f"{root}/pointer.json"
    replace_object(url, b"0", None)
    long_ago = read_object(url)
    for number in range(23):
        replace_object(url, b"%d" % number, read_object(url))
    for before in (None, long_ago):
        with pytest.raises(RepublishedError):
            replace_object(url, b"lost", before)
    assert content_of(url) == b"22"


def test_listing_and_deleting(root: str) -> None:
    for name in ("a", "b/c", "b/d/e", "f/100 %20 ü&é+"):
        write_object(f"{root}/{name}", name.encode())
    assert objects_below(root) == ["a", "b/c", "b/d/e", "f/100 %20 ü&é+"]
    assert folders_in(root) == ["b", "f"]
    assert objects_below(f"{root}/b") == ["c", "d/e"]
    assert objects_below(f"{root}/a") == objects_below(f"{root}/none") == folders_in(f"{root}/none") == []
    assert content_of(f"{root}/f/100 %20 ü&é+") == "f/100 %20 ü&é+".encode()
    assert content_of(f"{root}/b") is None
    delete_objects(f"{root}/b")
    delete_objects(f"{root}/none")
    assert objects_below(root) == ["a", "f/100 %20 ü&é+"]
    assert folders_in(root) == ["f"]


@pytest.mark.parametrize("size", [0, 7, 3 * 2**20 + 1])
def test_a_file_is_written_as_it_is(root: str, tmp_path: Path, size: int) -> None:
    (tmp_path / "file").write_bytes(b"x" * size)
    write_object(f"{root}/file", b"earlier")
    write_object(f"{root}/file", tmp_path / "file")
    assert content_of(f"{root}/file") == b"x" * size
