"""The one reader of a feature table outside Spark."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from afm_core.features.feature_table import read_feature_table, values_by_id
from tests.support.small import Small


@pytest.fixture(scope="module")
def table(small: Small) -> pa.Table:
    return pq.read_table(small.dataset.features_path)


def test_rows_are_in_the_order_of_their_ids(small: Small, table: pa.Table) -> None:
    rows = read_feature_table(small.dataset.features_path)
    assert rows["id"].to_pylist() == list(range(table.num_rows))
    assert rows.column_names == ["id", "field", "value"]


def test_fields_are_read_without_the_others(small: Small, table: pa.Table) -> None:
    rows = read_feature_table(small.dataset.features_path, ["value", "count"], fields=["app"])
    expected = [row for row in table.to_pylist() if row["field"] == "app"]
    assert rows.column_names == ["id", "value", "count"]
    assert rows["value"].to_pylist() == [row["value"] for row in sorted(expected, key=lambda row: row["id"])]


def test_there_may_be_no_field_to_read(small: Small) -> None:
    """A map whose fields are hashed, or all looked up by Spark, has none for its workers."""
    rows = read_feature_table(small.dataset.features_path, fields=[])
    assert (rows.num_rows, rows.column_names) == (0, ["id", "field", "value"])


def test_padding_and_unknown_ids_have_no_value(small: Small) -> None:
    values, feature_map = values_by_id(small.dataset.features_path), small.dataset.feature_map
    without = [id_ for id_, value in enumerate(values.to_pylist()) if value is None]
    assert without == sorted([0, *(field.unknown_id for field in feature_map.fields)])
