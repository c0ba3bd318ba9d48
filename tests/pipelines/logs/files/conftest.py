"""The fixture of these tests: each runs once for every kind of storage."""

from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from tests.support.storages import STORAGES, Storage, make_storage


@pytest.fixture(params=STORAGES)
def storage(request: pytest.FixtureRequest, tmp_path: Path, spark: SparkSession) -> Storage:
    return make_storage(request.param, tmp_path, spark, request.getfixturevalue)
