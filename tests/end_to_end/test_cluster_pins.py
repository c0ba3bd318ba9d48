"""What a cluster's environment prepares, the training environment trains on, and the cluster scores: the same numbers.

The environments are those of conf/setup/cluster, which `make test-cluster-pins` creates.
"""

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from afm_core.settings import load_settings
from pipelines.dataset import SPLITS, Dataset
from tests.support.config import NIGHT, write_config
from tests.support.files import ROOT, snapshot
from tests.support.jobs import run_main
from tests.support.small import Small

pytestmark = pytest.mark.cluster_pins
PINS = ROOT / "conf" / "setup" / "cluster"
ENVIRONMENTS = sorted(path.stem for path in PINS.glob("*.txt"))
VERSIONS = """
from importlib.util import find_spec
import pyspark
print(f"pyspark=={pyspark.__version__}", find_spec("petastorm"))
"""


@dataclass(frozen=True)
class Run:
    """All jobs, the training here and every other one in the cluster's environment."""

    python: Path
    config: Path

    def there(self, job: str, *arguments: str) -> None:
        """Run a job in the cluster's environment; it must succeed."""
        command = [self.python, ROOT / "jobs" / f"{job}.py", "--config", self.config, *arguments]
        own = {name: value for name, value in os.environ.items() if not name.startswith(("SPARK_", "PYSPARK_"))}
        done = subprocess.run(command, env=own, capture_output=True, text=True, check=False, timeout=300)
        assert done.returncode == 0, done.stdout + done.stderr

    @property
    def folder(self) -> Path:
        return self.config.parent


@pytest.fixture(scope="module", params=ENVIRONMENTS)
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, small: Small) -> Run:
    python = ROOT / f".venv-{request.param}" / "bin" / "python"
    if not python.exists():
        pytest.skip(f"no environment .venv-{request.param}; make test-cluster-pins creates it")
    run = Run(python, write_config(tmp_path_factory.mktemp(request.param), small.settings.logs.path))
    run.there("prepare")
    run_main("train", run.config)
    run.there("evaluate")
    run.there("score", "--date", NIGHT)
    return run


def test_the_environment_has_the_spark_of_its_pins_and_cannot_train(run: Run) -> None:
    """Otherwise the other tests would compare the training environment with itself."""
    found = subprocess.run([run.python, "-c", VERSIONS], capture_output=True, text=True, check=True).stdout.split()
    pins = (PINS / f"{run.python.parents[1].name.removeprefix('.venv-')}.txt").read_text().splitlines()
    assert found[0] in pins
    assert found[1] == "None"


def scores(folder: Path) -> pd.DataFrame:
    night = pq.read_table(folder / "scores" / f"dt={NIGHT}", columns=["event_id", "score"]).to_pandas()
    return night.sort_values("event_id", ignore_index=True)


def test_the_dataset_has_the_same_rows_in_the_same_order(run: Run, small: Small) -> None:
    there = Dataset.open(run.folder / "dataset")
    assert there.manifest.digest == small.dataset.manifest.digest
    assert there.manifest.feature_map == small.dataset.manifest.feature_map
    for split in SPLITS:
        assert there.manifest.splits[split].rows > 0
        for file, own in zip(there.files(split), small.dataset.files(split), strict=True):
            assert pq.read_table(file).equals(pq.read_table(own))


def test_training_on_it_gives_the_same_weights(run: Run, small: Small) -> None:
    one, other = (snapshot(folder / "run" / "bundle")["weights.safetensors"] for folder in (run.folder, small.folder))
    assert one == other


def test_the_night_has_the_same_scores_bit_for_bit(run: Run, small: Small) -> None:
    there, here = scores(run.folder), scores(small.folder)
    assert len(there) > 100
    assert there["score"].std() > 0.1, "scores that are all alike prove nothing"
    assert there.equals(here)


def test_the_evaluation_finds_the_same_metrics(run: Run, small: Small) -> None:
    results = (folder / "run" / "evaluation.json" for folder in (run.folder, small.folder))
    there, here = (json.loads(result.read_text()) for result in results)
    assert there["rows"] == here["rows"] > 0
    assert there["metrics"].keys() == here["metrics"].keys()
    for model, metrics in here["metrics"].items():
        assert there["metrics"][model] == pytest.approx(metrics, rel=1e-12)


def test_the_bundle_is_promoted_and_its_best_items_are_found_there(run: Run) -> None:
    run.there("promote", "--set", "promote.calibration_range=[0.1, 10.0]")  # so few rows calibrate a model badly
    assert (load_settings(run.config).run.current / "weights.safetensors").exists()
    run.there("recommend", "--date", NIGHT, "--k", "3")
    assert pq.read_table(run.folder / "scores_best_items" / f"dt={NIGHT}").num_rows > 0
