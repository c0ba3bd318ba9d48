"""A night of scores against the trainer's own evaluation."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from afm_core.bundle import read_bundle
from afm_core.inference.pair_tables import PairTables
from afm_core.models import REGISTRY
from afm_core.settings.run import RunSettings
from pipelines.dataset import Dataset
from pipelines.evaluation.predictions import score_split
from pipelines.scoring.night import NightManifest
from tests.support.config import NIGHT, write_config
from tests.support.decoding import decoded
from tests.support.jobs import RunJob
from tests.support.small import Small


def read_night(scores: Path, night: str = NIGHT) -> pd.DataFrame:
    return pq.read_table(scores / f"dt={night}").to_pandas()


OTHERS = [pytest.param(name, marks=pytest.mark.long) for name in REGISTRY if name != "afm"]


@pytest.mark.parametrize("name", ["afm", *OTHERS])
def test_the_test_split_as_a_night_gets_the_trainers_scores_row_for_row(
    run_job: RunJob, small: Small, tmp_path: Path, name: str
) -> None:
    """The test split's rows, decoded to the values they came from, go through the whole scoring job."""
    dataset = Dataset.open(small.settings.dataset.path)
    rows = decoded(small.settings.dataset.path)
    rows = rows[rows["split"] == "test"]
    for field in ("user", "app"):
        rows[field] = rows[field].fillna("a value that no log holds")
    night = tmp_path / "nights" / f"dt={NIGHT}"
    night.mkdir(parents=True)
    rows.rename(columns={"row_key": "event_id"})[["event_id", *dataset.feature_map.names]].to_csv(
        night / "a.csv", index=False
    )
    run = small.settings.run if name == "afm" else RunSettings(path=tmp_path / "run")
    changes = {"dataset": {"path": str(small.settings.dataset.path)}, "run": {"path": str(run.path)}}
    config = write_config(tmp_path, tmp_path / "nights", model={"name": name, "layers": [8]}, **changes)
    if name != "afm":
        assert run_job("train", config).code == 0

    assert run_job("score", config, "--date", NIGHT).code == 0

    scored = read_night(tmp_path / "scores").assign(row_key=lambda frame: frame["event_id"].astype(np.int64))
    trainers = score_split(read_bundle(run.bundle).scorer, dataset, "test")
    expected = pd.DataFrame({"row_key": trainers.row_key, "expected": trainers.score})
    both = scored.merge(expected, on="row_key", validate="one_to_one")
    assert len(both) == len(rows) == dataset.manifest.splits["test"].rows
    assert np.abs(both["score"] - both["expected"]).max() < 1e-6
    assert both["score"].std() > 0.1, "scores that are all alike prove nothing"


def test_every_accepted_log_of_the_night_has_one_score(small: Small) -> None:
    manifest = NightManifest.model_validate_json(
        (small.settings.nightly.path / f"dt={NIGHT}" / "_manifest.json").read_text()
    )
    scored = read_night(small.settings.nightly.path)
    lines = (small.settings.nightly.logs / f"dt={NIGHT}" / "part-00000.csv").read_text().splitlines()[1:]
    fields = [line.split(",") for line in lines]
    whole = {row[0] for row in fields if len(row) == 9 and row[1]}
    assert set(scored["event_id"]) == whole
    assert scored["event_id"].is_unique
    assert manifest.rows_in == len(lines) == manifest.scored + sum(manifest.rejected.values())
    assert manifest.scored == len(scored)
    assert set(scored["model"]) == {manifest.model} == {read_bundle(small.settings.run.bundle).fingerprint}
    assert scored["score"].between(-1, 1).all()
    assert manifest.unknown["user"] > 0, "the last night brings users that the training did not see"


def test_rerunning_a_night_replaces_it_whole(run_job: RunJob, small: Small, tmp_path: Path) -> None:
    config = small.scoring_config(tmp_path)
    assert run_job("score", config, "--date", NIGHT).code == 0
    first = read_night(tmp_path / "scores").sort_values("event_id", ignore_index=True)
    stray = tmp_path / "scores" / f"dt={NIGHT}" / "part-stray.parquet"
    pq.write_table(pq.read_table(tmp_path / "scores" / f"dt={NIGHT}"), stray)
    assert run_job("score", config, "--date", NIGHT).code == 0
    again = read_night(tmp_path / "scores").sort_values("event_id", ignore_index=True)
    assert again.equals(first)
    assert not stray.exists()
    seen = [path.name for path in (tmp_path / "scores").iterdir() if not path.name.startswith((".", "_"))]
    assert seen == [f"dt={NIGHT}"]


def test_scores_are_the_same_bit_for_bit_however_the_night_is_cut(
    run_job: RunJob, small: Small, tmp_path: Path
) -> None:
    header, *lines = (small.settings.nightly.logs / f"dt={NIGHT}" / "part-00000.csv").read_text().splitlines()
    changes = {"dataset": {"path": str(small.settings.dataset.path)}, "run": {"path": str(tmp_path / "run")}}
    model = {"embedding_dim": 24, "attention_dim": 24}
    assert run_job("train", write_config(tmp_path, small.settings.logs.path, model=model, **changes)).code == 0
    bundle = read_bundle(tmp_path / "run" / "bundle")
    assert PairTables.of(bundle.model, bundle.feature_map), "its attention is looked up"
    nights = []
    for files in (1, 7):
        folder = tmp_path / f"in-{files}"
        night = folder / "nights" / f"dt={NIGHT}"
        night.mkdir(parents=True)
        for at in range(files):
            (night / f"part-{at}.csv").write_text("\n".join([header, *lines[at::files]]) + "\n")
        config = write_config(folder, night.parent, model=model, **changes)
        assert run_job("score", config, "--date", NIGHT).code == 0
        tasks = len(list((folder / "scores" / f"dt={NIGHT}").glob("*.parquet")))
        assert tasks == 1 if files == 1 else tasks > 1
        nights.append(read_night(folder / "scores").sort_values("event_id", ignore_index=True))
    assert nights[0].equals(nights[1])


@pytest.mark.parametrize(
    "name", ["dataset/settings.yaml", "run/bundle/settings.yaml", f"scores/dt={NIGHT}/_settings.yaml"]
)
def test_the_effective_settings_lie_beside_every_output(small: Small, name: str) -> None:
    assert f"name: {small.settings.name}" in (small.folder / name).read_text()
