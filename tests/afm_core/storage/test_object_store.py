"""The operations that publishing is made of mean the same in a bucket and in HDFS."""

from collections.abc import Iterator
from uuid import uuid4

import boto3
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from afm_core.storage.object_store import create_object, objects_below, read_object, write_object
from tests.support.moto_server import moto_bucket

STORES = ["bucket", pytest.param("hdfs", marks=pytest.mark.cluster)]
PART = 5 * 2**20


@pytest.fixture(params=STORES)
def root(request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of a folder where nothing is."""
    if request.param == "hdfs":
        yield f"{request.getfixturevalue('hdfs').root}/{uuid4().hex}"
        return
    with moto_bucket("objects") as bucket:
        yield f"{bucket}/{uuid4().hex}"
        uploads = boto3.client("s3").list_multipart_uploads(Bucket="objects")
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
