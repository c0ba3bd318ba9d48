"""One place has one name, whichever of its URLs a user writes, and what is no place is one clear line."""

from pathlib import Path

import pytest

from afm_core.storage.locations import to_location
from afm_core.storage.paths import to_path
from afm_core.storage.urls import Url


def url(text: str) -> Url:
    location = to_location(text)
    assert isinstance(location, Url)
    return location


@pytest.mark.parametrize(
    ("text", "spark", "python"),
    [
        ("s3://shop/logs", "s3a://shop/logs", "s3://shop/logs"),
        ("s3a://shop/logs/", "s3a://shop/logs", "s3://shop/logs"),
        ("S3A://shop//x/../logs/./", "s3a://shop/logs", "s3://shop/logs"),
        ("s3://shop", "s3a://shop/", "s3://shop/"),
        ("gs://shop/logs", "gs://shop/logs", "gs://shop/logs"),
        ("abfss://logs@shop.dfs.core.windows.net/a", *["abfss://logs@shop.dfs.core.windows.net/a"] * 2),
        ("hdfs://node:8020/logs", "hdfs://node:8020/logs", "hdfs://node:8020/logs"),
        ("hdfs:///logs", "hdfs:///logs", "hdfs:///logs"),
        ("hdfs://[::1]:8020/logs", "hdfs://[::1]:8020/logs", "hdfs://[::1]:8020/logs"),
        ("s3://shop/2026-0?/a b#c/d%20e/*.csv", *[f"s3{a}://shop/2026-0?/a b#c/d%20e/*.csv" for a in ("a", "")]),
    ],
)
def test_the_names_of_a_place(text: str, spark: str, python: str) -> None:
    parsed = url(text)
    assert (parsed.for_spark, parsed.for_python, str(parsed)) == (spark, python, python)
    assert url(spark) == url(python) == parsed


def test_s3_and_s3a_are_one_place() -> None:
    assert url("s3://shop/logs") == url("s3a://shop/logs") != url("s3://shop/log")
    assert str(to_path("s3a://shop/dataset")) == "s3://shop/dataset"


def test_names_below_and_above() -> None:
    night = url("s3://shop/logs") / "dt=2026-01-01"
    assert (str(night), night.name) == ("s3://shop/logs/dt=2026-01-01", "dt=2026-01-01")
    assert [str(folder) for folder in night.parents] == ["s3://shop/logs", "s3://shop/"]
    assert night.parent == url("s3://shop/logs")
    root = url("s3://shop")
    assert (root.name, list(root.parents), root.parent) == ("", [], root)


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("file:///logs/a%20b", "/logs/a b"),
        ("file://localhost/logs", "/logs"),
        ("file:///logs/2026-0?/*.csv", "/logs/2026-0?/*.csv"),
        ("logs/2026-*.csv", "logs/2026-*.csv"),
        ("shop.events", "shop.events"),
    ],
)
def test_local_places(text: str, path: str) -> None:
    assert to_location(text) == Path(path)


@pytest.mark.parametrize(
    ("value", "part"),
    [
        (
            "ftp://host/logs",
            "found 'ftp://host/logs', allowed are local paths and URLs of file, s3 (or s3a), gs, abfss",
        ),
        ("https://host/logs", "allowed are local paths and URLs of"),
        ("file:/logs", "with :// after the scheme"),
        ("s3:/shop/logs", "with :// after the scheme"),
        ("file://logs/a", "allowed is file:///PATH, with three slashes"),
        ("s3:///logs", "allowed is s3://BUCKET/PATH"),
        ("gs://my bucket/x", "allowed is gs://BUCKET/PATH"),
        ("abfss://account/x", "allowed is abfss://CONTAINER@ACCOUNT.dfs.core.windows.net/PATH"),
        ("hdfs://host:port/x", "allowed is hdfs://HOST:PORT/PATH or hdfs:///PATH"),
        (5, "found 5, allowed are local paths"),
    ],
)
def test_what_is_no_place(value: object, part: str) -> None:
    with pytest.raises(ValueError) as caught:
        to_location(value)
    assert part in str(caught.value)
