"""Datasets as values instead of ids, and datasets compared."""

from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq

from afm_core.features import FeatureMap
from pipelines.dataset import Dataset

SPLITS = ("train", "valid", "test")


def instances(dataset: Path) -> pd.DataFrame:
    """All instances with the name of their split."""
    splits = [pq.read_table(dataset / name).to_pandas().assign(split=name) for name in SPLITS]
    return pd.concat(splits, ignore_index=True)


def decoded(dataset: Path) -> pd.DataFrame:
    """Instances with values in place of ids; unknown ids become None."""
    value = pq.read_table(dataset / "features.parquet").to_pandas().set_index("id")["value"]
    frame = instances(dataset)
    for name in FeatureMap.read(dataset / "features.parquet").id_columns:
        frame[name] = frame[name].map(value).where(lambda column: column.notna(), None)
    return frame


def assert_same_dataset(one: Dataset, other: Dataset) -> None:
    """Equal digests, equal rows, equal bytes of every file."""
    assert one.manifest.digest == other.manifest.digest
    assert one.manifest.feature_map == other.manifest.feature_map
    for split in SPLITS:
        tables = [pq.read_table(dataset.path / split).sort_by("row_key") for dataset in (one, other)]
        assert tables[0].num_rows > 0
        assert tables[0].equals(tables[1])
        assert [file.read_bytes() for file in one.files(split)] == [file.read_bytes() for file in other.files(split)]
