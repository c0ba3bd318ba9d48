import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from afm_core.drift.baseline import DriftBaseline, IdBins, NumberBins
from afm_core.drift.field_bins import FieldBins
from afm_core.features import Categorical, Crossed, FeatureMap, Numeric

NUMBERS = np.linspace(-1, 1, 101, dtype=np.float32)
BASELINE = DriftBaseline(
    scores=NumberBins.fit(NUMBERS),
    fields={"price": NumberBins.fit(2 * NUMBERS), "user_item": IdBins.fit(np.array([12, 12, 13, 12, 14]))},
)


def test_a_baseline_survives_metrics_json() -> None:
    text = json.dumps({"valid": 0.5, **BASELINE.model_dump()})
    assert DriftBaseline.from_metrics(json.loads(text)) == BASELINE
    assert list(BASELINE.model_dump()) == ["scores", "fields"], "the keys of bundles that exist"


def test_an_older_bundle_has_an_empty_baseline() -> None:
    assert DriftBaseline.from_metrics({"valid": 0.5, "epochs": []}) == DriftBaseline()
    assert DriftBaseline().scores.edges == ()


def test_a_damaged_baseline_is_refused() -> None:
    with pytest.raises(ValidationError):
        DriftBaseline.from_metrics({"scores": {"edges": "none", "rows": [1]}})


def test_rows_are_counted_into_the_bins_of_their_values(tmp_path: Path) -> None:
    fields = [
        Categorical(name="user"),
        Numeric(name="price", kind="numeric"),
        Crossed(name="user_item", kind="crossed", of=("user", "user"), buckets=4),
    ]
    feature_map = FeatureMap.lay_out(fields, [6, 1, 4])
    counts = [None] * 4 + [50, 30, 10, 5, 3, 2] + [None] * 5
    table = pa.table({"id": range(len(counts)), "count": pa.array(counts, pa.int64())})
    path = tmp_path / "features.parquet"
    pq.write_table(table.replace_schema_metadata(feature_map.to_metadata()), path)
    bins = FieldBins.of(path, BASELINE.fields)
    assert list(bins.first) == ["user", "price", "user_item"]
    ids = np.array([[4, 10, 12], [4, 10, 13], [1, 2, 3], [9, 10, 11]], dtype=np.int32)
    x = np.array([[-2.0], [1.9], [1.0], [0.0]], dtype=np.float32)
    rows = bins.count(ids, x)
    sections = np.split(rows, list(bins.first.values())[1:])
    assert [section.sum() for section in sections] == [3, 3, 3], "unknown ids have no bin"
    assert sections[0][0] == 2
    assert sections[1][0] == sections[1][-1] == 1
    assert sections[2][-1] == 1, "an id that the baseline does not list is in the last bin"
