"""One small artefact of every kind, in the variants "a" and "b", with the code that publishes and reads it in a job."""

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from safetensors.numpy import load_file

from afm_core.bundle import Bundle, FrozenRows, read_bundle, write_bundle
from afm_core.bundle_versions import publish_copy
from afm_core.errors import DatasetError, RepublishedError
from afm_core.settings import Settings, load_settings
from afm_core.storage.opening import open_version
from afm_core.storage.places import Place
from afm_core.storage.provenance import Provenance
from afm_core.storage.publishing import point, staged
from pipelines.contracts import scores
from pipelines.dataset import MANIFEST_FILE, SPLITS, Dataset
from pipelines.logs.inputs import Inputs
from pipelines.preparation.prepare import DATASET_CONTENT
from pipelines.scoring.night import NightManifest
from pipelines.scoring.published.parquet_nights import MANIFEST_FILE as NIGHT_MANIFEST
from pipelines.scoring.published.parquet_nights import ParquetNights
from pipelines.scoring.published.publish import publish_night
from pipelines.scoring.published.store import NightStage
from pipelines.training.checkpoints import Checkpoints
from pipelines.training.state import TrainingState

NIGHT = date(2026, 1, 15)


@dataclass(frozen=True)
class Kind:
    """A kind of artefact."""

    name: str
    publish: Callable[[str], None]
    read: Callable[[], str]
    """The variant that is published, whole."""
    versions: Path
    in_forks: bool = False
    """Whether it is read and published in forks only, because it uses threads, which a fork loses."""

    def left_behind(self) -> list[str]:
        """What only a run that is under way may have there."""
        if not self.versions.is_dir():
            return []
        return [path.name for path in self.versions.iterdir() if path.name.startswith(".") and path.name != ".lock"]


def kinds_in(small: Path, folder: Path) -> Iterator[Kind]:
    """Every kind, published below `folder`.

    Args:
        small: the folder of a prepared and trained data set.
    """
    settings = load_settings(small / "settings.yaml")
    bundle = read_bundle(settings.run.bundle)
    yield _dataset(settings.dataset.path, folder / "dataset")
    yield _plain_folder(settings.dataset.path, folder / "plain")
    yield from _bundles(bundle, folder)
    yield _night(settings, folder / "scores")
    yield _checkpoint(bundle, settings, folder / "checkpoints")


def _dataset(source: Path, path: Path) -> Kind:
    def publish(variant: str) -> None:
        with staged(Place.of(path), DATASET_CONTENT) as stage:
            _copy_dataset(source, stage, variant)

    return Kind("dataset", publish, lambda: _variant_of_dataset(path), Place.of(path).versions)


def _plain_folder(source: Path, path: Path) -> Kind:
    """A dataset that an earlier release has published as a folder, and that is replaced for the first time."""
    place = Place.of(path)

    def publish(variant: str) -> None:
        if variant == "a" and place.pointer.is_symlink():  # as it was; readers are not disturbed
            plain = path.with_name("plain-again")
            _copy_dataset(source, plain, variant, uuid4().hex)  # never the one that a slow reader began with
            place.pointer.unlink()
            plain.rename(place.pointer)
        else:
            with staged(place, DATASET_CONTENT) as stage:
                _copy_dataset(source, stage, variant)

    def read() -> str:
        # It is moved once, and a reader that has just opened it is told so. On a busy machine a move takes its time.
        for _ in range(100):
            with suppress(DatasetError, RepublishedError, FileNotFoundError):
                return _variant_of_dataset(path)
            time.sleep(0.02)
        return _variant_of_dataset(path)

    return Kind("plain folder of an earlier release", publish, read, place.versions)


def _copy_dataset(source: Path, target: Path, variant: str, copy: str = "") -> None:
    for split in SPLITS:
        shutil.copytree(source / split, target / split, copy_function=shutil.copyfile)
        (target / split / "variant").write_text(variant)
    for file in source.glob("*.parquet"):
        shutil.copyfile(file, target / file.name)
    manifest = Dataset.open(source).manifest.model_copy(update={"digest": variant + copy})
    (target / MANIFEST_FILE).write_text(manifest.model_dump_json())


def _variant_of_dataset(path: Path) -> str:
    dataset = Dataset.open(path)
    files = [file for split in SPLITS for file in dataset.files(split)]
    rows = sum(pq.read_metadata(file).num_rows for file in files)
    assert rows == dataset.manifest.instances, f"{rows} rows"
    found = {dataset.manifest.digest[0]} | {(dataset.path / split / "variant").read_text() for split in SPLITS}
    dataset.require_unchanged()
    return "".join(sorted(found))


def _bundles(bundle: Bundle, folder: Path) -> Iterator[Kind]:
    run = {variant: folder / f"trained-{variant}" for variant in "ab"}
    for variant, path in run.items():
        _write(bundle, path, variant)
    fingerprints = {read_bundle(path).fingerprint: variant for variant, path in run.items()}

    def variant_at(path: Path) -> str:
        return fingerprints[read_bundle(path).fingerprint]

    written = folder / "bundle"
    versions = Place.of(written).versions
    yield Kind(
        "bundle",
        lambda variant: _write(bundle, written, variant),
        lambda: variant_at(written),
        versions,
    )

    promoted = Place.of(folder / "current")

    def promote(variant: str) -> None:
        new = read_bundle(run[variant])
        publish_copy(new.path, new.fingerprint, promoted)

    yield Kind("promoted bundle", promote, lambda: variant_at(promoted.pointer), promoted.versions)

    rolled_back = Place.of(folder / "rolled-back")
    kept = {}
    for variant, path in run.items():
        new = read_bundle(path)
        publish_copy(new.path, new.fingerprint, rolled_back)
        assert rolled_back.current is not None
        kept[variant] = rolled_back.current
    yield Kind(
        "roll-back",
        lambda variant: point(rolled_back, kept[variant]),
        lambda: variant_at(rolled_back.pointer),
        rolled_back.versions,
    )


def _write(bundle: Bundle, path: Path, variant: str) -> None:
    rows = load_file(bundle.path / "certificate.safetensors")
    with torch.no_grad():
        bundle.model.factors.bias.fill_(float(variant == "b"))
    frozen = FrozenRows(rows["ids"], rows["x"])
    state = {"bias/sum": torch.zeros(1)}
    write_bundle(path, bundle.calibrated_model, bundle.settings, bundle.path, frozen, {}, "card", state)


def _night(settings: Settings, output: Path) -> Kind:
    contract = scores(["event_id"])
    place = Place.of_partition(output, f"dt={NIGHT}")

    def write(stage: NightStage, variant: str) -> NightManifest:
        (folder,) = stage.kept()
        assert isinstance(folder, Path)
        for part in range(2):
            rows = {"event_id": ["1", "2"], "score": pa.array([0.1, 0.2], pa.float32()), "model": [variant] * 2}
            pq.write_table(pa.table(rows), folder / f"part-{part:05d}-{variant}.parquet")
        made_from = Provenance.of(model=variant)
        return NightManifest(night=NIGHT, model=variant, feature_map="", scored=4, made_from=made_from, seconds={})

    def publish(variant: str) -> None:
        def describe_empty() -> NightManifest:
            raise AssertionError("the night has rows")

        publish_night(
            settings,
            ParquetNights(output),
            NIGHT,
            Inputs(None, ()),
            contract,
            lambda stage: write(stage, variant),
            describe_empty,
        )

    def read() -> str:
        version = open_version(place.pointer)
        manifest = NightManifest.model_validate_json((version.path / NIGHT_MANIFEST).read_text())
        rows = [pq.read_table(file, partitioning=None) for file in sorted(version.path.glob("*.parquet"))]
        assert sum(map(len, rows)) == manifest.scored
        return "".join(sorted({manifest.model} | {model for table in rows for model in table["model"].to_pylist()}))

    return Kind("night", publish, read, place.versions)


def _checkpoint(bundle: Bundle, settings: Settings, folder: Path) -> Kind:
    """The next checkpoint of a training; until it is complete, the one before is the newest."""
    checkpoints = Checkpoints(folder / "afm", Provenance.of(seed=1))
    state = TrainingState.start(bundle.model, settings, 10)

    def publish(variant: str) -> None:
        later = folder / "afm" / "step-000000002"
        if variant == "a" and later.exists():
            later.rename(folder / "removed")
            shutil.rmtree(folder / "removed")
        else:
            state.schedule.last_epoch = {"a": 1, "b": 2}[variant]
            checkpoints.save(state)

    def read() -> str:
        newest = checkpoints.newest()
        assert newest is not None
        return {1: "a", 2: "b"}[Checkpoints.step_of(newest)]

    return Kind("checkpoint", publish, read, folder / "afm.versions")
