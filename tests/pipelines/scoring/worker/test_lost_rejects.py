"""The rejected rows of a night lie on the executors until they are published: one that is lost takes them along."""

from datetime import date
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from pipelines import phases
from tests.support.config import NIGHT
from tests.support.jobs import run_main
from tests.support.nights import published_scores, read_manifest
from tests.support.small import Small

_MEASURED = {"seconds", "model_seconds", "made_from"}


def rows_of(file: Path) -> int:
    return pq.read_metadata(file).num_rows


@pytest.mark.parametrize("form", ["parquet", "delta"])
def test_lost_rejects_are_read_again_but_nothing_is_scored_or_counted_twice(
    form: str, small: Small, spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if form == "delta":
        pytest.importorskip("deltalake")
    lost = []

    def lose(phase: str, context: object) -> None:
        if phase == phases.FILES_WRITTEN:
            lost.append(phase)
            spark.catalog.clearCache()

    folders = {}
    for name, listeners in (("whole", []), ("lost", [lose])):
        monkeypatch.setattr(phases, "_listeners", listeners)
        (tmp_path / name).mkdir()
        config = small.scoring_config(tmp_path / name, small.settings.nightly.logs)
        run_main("score", config, "--date", NIGHT, "--set", f"score.format={form}")
        folders[name] = tmp_path / name / "scores"
    assert lost == [phases.FILES_WRITTEN]
    if form == "parquet":
        manifests = [
            read_manifest(folder, date.fromisoformat(NIGHT)).model_dump(exclude=_MEASURED)
            for folder in folders.values()
        ]
        assert manifests[0] == manifests[1]
        assert manifests[0]["rejected"]
        assert published_scores(folders["lost"]) == published_scores(folders["whole"])
        rejects = [pq.read_table(folder / f"dt={NIGHT}" / "_rejects").num_rows for folder in folders.values()]
    else:
        rejects = [sum(map(rows_of, folder.rglob("rejects/*.parquet"))) for folder in folders.values()]
    assert rejects[0] == rejects[1] > 0
