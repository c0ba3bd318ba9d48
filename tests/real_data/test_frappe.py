"""Frappe through the whole preparation: the counts that the literature gives."""

from pathlib import Path

import pandas as pd
import pytest

from afm_core.settings import load_settings
from pipelines.preparation.job import prepare
from pipelines.spark import spark_session
from tests.pipelines.test_preparation import decoded

ROOT = Path(__file__).parents[2]
PLACES = [ROOT / "data" / "frappe" / "frappe.csv", ROOT.parent / "shared" / "data" / "frappe" / "frappe.csv"]
LOGS = next((path for path in PLACES if path.exists()), None)

pytestmark = [
    pytest.mark.real_data,
    pytest.mark.skipif(LOGS is None, reason="data/frappe/frappe.csv is absent; the README says where to get it"),
]


def test_frappe_has_the_counts_of_the_literature(tmp_path: Path) -> None:
    overrides = [f"logs.path={LOGS}", f"dataset.path={tmp_path / 'dataset'}", f"run.path={tmp_path}"]
    settings = load_settings(ROOT / "conf" / "frappe.yaml", overrides)
    with spark_session("frappe", tmp_path / "spark.log", "local[2]") as spark:
        manifest = prepare(spark, settings)
    sizes = {field["name"]: field["size"] for field in manifest.fields}
    assert (manifest.rows_in, manifest.rejected) == (96_203, {})
    assert (sizes["user"], sizes["item"], manifest.features) == (957, 4_082, 5_382)
    assert manifest.instances == 288_609
    assert manifest.negatives_found == manifest.negatives_asked == 2 * 96_203

    logs = pd.read_csv(LOGS, sep="\t", dtype=str, keep_default_na=False)
    seen = set(logs[["user", "item"]].itertuples(index=False, name=None))
    frame = decoded(tmp_path / "dataset")
    negatives = frame.loc[frame["label"] < 0, ["user", "item"]]
    assert len(negatives) == 192_406
    assert not seen & set(negatives.itertuples(index=False, name=None))
    fields = list(settings.field_names)
    positives = frame.loc[frame["label"] > 0, fields].value_counts().sort_index()
    assert positives.equals(logs[fields].value_counts().sort_index())
