"""Preparation, training, promotion, roll-back and scoring at once, in processes of their own: nothing is ever mixed."""

import random
import re
from pathlib import Path

import pyarrow as pa
import pytest

from afm_core.bundle import read_bundle
from afm_core.bundle_versions import fingerprint_of
from afm_core.settings import Settings, load_settings
from afm_core.storage.places import Place
from pipelines.dataset import Dataset
from pipelines.scoring.night import NightManifest
from pipelines.scoring.published.parquet_nights import MANIFEST_FILE
from tests.support.config import FIELDS, NIGHT, write_config
from tests.support.job_server import job_servers
from tests.support.jobs import RunJob
from tests.support.nights import sorted_scores

NIGHTS = ("2026-01-03", NIGHT)
_WIDE = {
    "max_auc_drop": 1.0,
    "max_entropy_increase": 99.0,
    "calibration_range": [0.0, 99.0],
    "max_score_drift": 99.0,
}
_DONE, _REFUSED, _NOTHING_TO_DO, _RETRY = 0, 2, 3, 75


def config_for(folder: Path, logs: Path) -> Path:
    """A crossed field is joined on the driver and looked up in workers, so that a mixture shows in the scores."""
    crossed = {"name": "user_place", "kind": "crossed", "of": ["user", "place"], "buckets": 32}
    return write_config(
        folder,
        logs,
        logs={"last_date": None},
        fields=[*FIELDS, crossed],
        train={"epochs": 1},
        score={"bundle": str(folder / "run" / "current")},
        promote=_WIDE,
    )


@pytest.mark.long
@pytest.mark.parametrize("rounds", [1, 50])
def test_every_night_is_of_one_bundle_and_every_bundle_of_one_dataset(
    logs: Path, tmp_path: Path, run_job: RunJob, rounds: int
) -> None:
    config = config_for(tmp_path, logs)
    settings = load_settings(config)
    for job in ("prepare", "train", "promote"):
        assert run_job(job, config).code == 0
    with job_servers(("prepare", "train", "promote", "score", "evaluate"), tmp_path) as servers:
        for number in range(rounds):
            chance = random.Random(number)
            known = sorted({fingerprint_of(path) for path in Place.of(settings.run.bundle).all_versions})
            back = ("--to", chance.choice(known)) if chance.random() < 0.5 else ()
            seed = f"seed={2 + number}"  # another seed draws other negatives; other days give other ids
            days = f"logs.last_date={chance.choice(['2026-01-02', '2026-01-03'])}"
            servers["prepare"].start(config, "--set", seed, "--set", days, delay=chance.uniform(0, 1))
            servers["train"].start(config, "--set", seed, delay=chance.uniform(0, 2))
            servers["promote"].start(config, *back, delay=chance.uniform(0, 3))
            servers["evaluate"].start(config, delay=chance.uniform(0, 3))
            servers["score"].start(config, "--from", NIGHTS[0], "--to", NIGHTS[1], delay=chance.uniform(0, 2))
            codes = {name: server.wait() for name, server in servers.items()}
            # A bundle of another dataset than the one that is published is refused, and the next round repairs it.
            assert set(codes.values()) <= {_DONE, _REFUSED, _NOTHING_TO_DO, _RETRY}, (number, codes)
            assert codes["prepare"] == codes["train"] == _DONE, (number, codes)
            assert codes["score"] in (_DONE, _NOTHING_TO_DO), (number, codes)
    assert_bundles_are_of_one_dataset(settings)
    assert_nights_are_of_one_bundle(config, settings, tmp_path, run_job)


def assert_bundles_are_of_one_dataset(settings: Settings) -> None:
    datasets = [Dataset.open(path) for path in Place.of(settings.dataset.path).all_versions]
    maps = {dataset.manifest.digest: dataset.feature_map.fingerprint for dataset in datasets}
    assert len(set(maps.values())) > 1, "the datasets have different ids"
    for path in [*Place.of(settings.run.bundle).all_versions, *Place.of(settings.run.current).all_versions]:
        bundle = read_bundle(path)
        (digest,) = re.findall(r"dataset digest (\S+)\.", (path / "card.md").read_text())
        assert bundle.feature_map.fingerprint == maps[digest]


def assert_nights_are_of_one_bundle(config: Path, settings: Settings, folder: Path, run_job: RunJob) -> None:
    """Compare every version of every night with what the bundle that its manifest names scores when it is alone."""
    trained = {fingerprint_of(path): path for path in Place.of(settings.run.bundle).all_versions}
    alone: dict[tuple[str, str], pa.Table] = {}
    for night in NIGHTS:
        for version in Place.of_partition(settings.nightly.path, f"dt={night}").all_versions:
            model = NightManifest.model_validate_json((version / MANIFEST_FILE).read_text()).model
            if (model, night) not in alone:
                scores = folder / "alone" / model
                separate = ("--set", f"score.path={scores}", "--set", f"score.bundle={trained[model]}")
                assert run_job("score", config, "--date", night, *separate).code == 0
                alone[model, night] = sorted_scores(scores / f"dt={night}")
            assert sorted_scores(version).equals(alone[model, night]), f"{version} mixes bundles"
