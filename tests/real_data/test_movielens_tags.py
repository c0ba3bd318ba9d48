"""MovieLens tags through the whole preparation: separators inside a tag, tags that differ in case."""

from pathlib import Path

import pandas as pd
import pytest

from afm_core.settings import load_settings
from pipelines.preparation.prepare import prepare
from pipelines.spark import spark_session
from tests.support.decoding import decoded
from tests.support.files import ROOT

TAGS = Path("data") / "movielens_tags" / "tags.dat"
LOGS = next((path for path in (ROOT / TAGS, ROOT.parent / "shared" / TAGS) if path.exists()), None)

pytestmark = [
    pytest.mark.real_data,
    pytest.mark.skipif(LOGS is None, reason="data/movielens_tags/tags.dat is absent; see docs/results.md"),
]


def test_tags_are_read_whole_and_negatives_are_new_to_the_user_and_movie(tmp_path: Path) -> None:
    overrides = [f"logs.path={LOGS}", f"dataset.path={tmp_path / 'dataset'}", f"run.path={tmp_path}"]
    settings = load_settings(ROOT / "conf" / "movielens_tags.yaml", overrides)
    with spark_session("tags", tmp_path / "spark.log", "local[2]") as spark:
        manifest = prepare(spark, settings)
    assert (manifest.rows_in, manifest.rejected, manifest.instances) == (95_580, {}, 286_740)
    assert {field["name"]: field["size"] for field in manifest.fields} == {"user": 4009, "movie": 7601, "tag": 15_240}

    assert LOGS is not None
    lines = LOGS.read_text(encoding="utf-8").rstrip("\n").split("\n")
    parts = [(*line.split(";", 2)[:2], line.split(";", 2)[2].rsplit(";", 1)[0].strip(" ").lower()) for line in lines]
    assert sum(";" in tag for _, _, tag in parts) == 44
    logs = pd.DataFrame(parts, columns=["user", "movie", "tag"])
    frame = decoded(tmp_path / "dataset")
    positives = frame.loc[frame["label"] > 0, list(logs.columns)]
    assert positives.value_counts().sort_index().equals(logs.value_counts().sort_index())
    negatives = frame.loc[frame["label"] < 0, list(logs.columns)].itertuples(index=False, name=None)
    assert not set(logs.itertuples(index=False, name=None)) & set(negatives)
