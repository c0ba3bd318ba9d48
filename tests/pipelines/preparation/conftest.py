from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pyspark.sql import SparkSession

from afm_core.settings import load_settings
from pipelines.dataset import Manifest
from pipelines.preparation.prepare import prepare
from tests.support.decoding import decoded
from tests.support.preparing import Prepare, config_for


@pytest.fixture
def prepared(spark: SparkSession, tmp_path: Path) -> Prepare:
    def run(logs: pd.DataFrame, extend: Path | None = None, **sections: Any) -> tuple[Manifest, pd.DataFrame]:
        config = config_for(tmp_path, logs, **sections)
        manifest = prepare(spark, load_settings(config), extend)
        return manifest, decoded(tmp_path / "dataset")

    return run
