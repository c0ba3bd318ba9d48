"""Frappe through the whole preparation: the counts that the literature gives."""

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from afm_core.bundle import read_bundle
from afm_core.settings import load_settings
from pipelines.preparation.prepare import prepare
from pipelines.spark import spark_session
from tests.support.decoding import decoded
from tests.support.files import ROOT
from tests.support.ranks import HOROVODRUN, TORCHRUN, needs_horovod

PATHS = [ROOT / "data" / "frappe" / "frappe.csv", ROOT.parent / "shared" / "data" / "frappe" / "frappe.csv"]
LOGS = next((path for path in PATHS if path.exists()), None)

pytestmark = [
    pytest.mark.real_data,
    pytest.mark.skipif(LOGS is None, reason="data/frappe/frappe.csv is absent; see docs/results.md"),
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


@pytest.mark.long
@needs_horovod
def test_one_two_and_four_ranks_validate_alike_after_three_epochs(tmp_path: Path) -> None:
    """The FM that conf/frappe.yaml starts from; each number of ranks sees its own order of the rows."""
    common = ["--set", f"logs.path={LOGS}", "--set", f"dataset.path={tmp_path / 'dataset'}"]
    config = ["--config", str(ROOT / "conf" / "frappe.yaml"), *common]
    subprocess.run([sys.executable, ROOT / "jobs" / "prepare.py", *config, "--set", f"run.path={tmp_path}"], check=True)
    start_of_afm = load_settings(ROOT / "conf" / "frappe.yaml").train.warm_start
    assert start_of_afm is not None
    fm = ["model.name=fm", "train.epochs=3", "train.ema_decay=0", f"model.pooled_dropout={start_of_afm.pooled_dropout}"]
    fm += [f"train.{key}={getattr(start_of_afm, key)}" for key in ("overshoot_penalty", "optimizer", "learning_rate")]
    valid = {}
    starts = {"one": [], "two": [str(HOROVODRUN), "-np", "2"], "four": [str(HOROVODRUN), "-np", "4"]}
    for name, start in {**starts, "torch": [*TORCHRUN, "2"]}.items():
        run = tmp_path / name
        settings = [part for text in [*fm, f"run.path={run}"] for part in ("--set", text)]
        command = [*start, sys.executable, str(ROOT / "jobs" / "train.py"), *config, *settings]
        subprocess.run(command, check=True, capture_output=True)
        valid[name] = read_bundle(run / "bundle").metrics["valid"]
    assert max(valid.values()) - min(valid.values()) < 0.005, valid
    assert abs(valid["torch"] - valid["two"]) < 0.003, valid
