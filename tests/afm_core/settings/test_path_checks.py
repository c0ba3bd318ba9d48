"""No job may publish over what it reads, over another output, or outside the folders of the settings."""

import pickle
import socket
from contextlib import suppress
from pathlib import Path

import pytest
import yaml

from afm_core.errors import SettingsError
from afm_core.settings import load_settings, read_settings, write_settings
from afm_core.storage import paths
from afm_core.storage.places import versions_of
from tests.support.config import write_config


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return write_config(tmp_path, tmp_path / "logs")


def problems(config: Path, *overrides: str) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        load_settings(config, [override.replace("{folder}", str(config.parent)) for override in overrides])
    return caught.value.problems


@pytest.mark.parametrize(
    ("override", "part"),
    [
        ("score.path={folder}/logs", "score.path: {folder}/logs is the same folder as logs.path ({folder}/logs)"),
        ("score.path={folder}/x/../logs", "is the same folder as score.logs ({folder}/logs)"),
        ("score.path={folder}/logs/scores", "lies inside score.logs ({folder}/logs)"),
        ("dataset.path={folder}", "dataset.path: {folder} contains logs.path ({folder}/logs)"),
        ("dataset.path={folder}/logs/dataset", "lies inside logs.path"),
        ("dataset.path={folder}/run", "dataset.path: {folder}/run contains run.path's bundle ({folder}/run/bundle)"),
        ("dataset.path={folder}/run/current", "is the same folder as run.path's current"),
        ("score.path={folder}/dataset/scores", "score.path ({folder}/dataset/scores)"),
        ("recommend.path={folder}/scores", "is the same folder as recommend.path"),
        ("recommend.items={folder}/dataset/items.txt", "dataset.path: {folder}/dataset contains recommend.items"),
    ],
)
def test_an_output_that_overlaps_is_refused(config: Path, override: str, part: str) -> None:
    lines = problems(config, override)
    assert any(part.format(folder=config.parent) in line for line in lines), lines
    assert all(line.startswith(f"{config}: ") and line.endswith("name another one") for line in lines)


@pytest.mark.parametrize(
    "override",
    ["logs.path={folder}/*.csv", "logs.path={folder}/events.csv", "run.path={folder}", "dataset.path=s3://b/d"],
)
def test_folders_beside_each_other_are_not(config: Path, override: str) -> None:
    load_settings(config, [override.format(folder=config.parent)])


@pytest.mark.parametrize("logs", ["s3://shop/data/logs", "s3a://shop/data/logs/", "s3a://shop//data/x/../logs"])
@pytest.mark.parametrize("dataset", ["s3://shop/data", "s3a://shop/data/"])
def test_s3_and_s3a_overlap(config: Path, dataset: str, logs: str) -> None:
    line = f"{config}: dataset.path: s3://shop/data contains logs.path (s3://shop/data/logs), "
    assert problems(config, f"dataset.path={dataset}", f"logs.path={logs}")[0].startswith(line)
    (same, *_) = problems(config, f"dataset.path={logs}", f"logs.path={logs}")
    assert "is the same folder as logs.path (s3://shop/data/logs)" in same


@pytest.mark.parametrize(
    "overrides",
    [
        ("dataset.path=s3://shop/data", "logs.path=s3://other/data/logs"),
        ("dataset.path=s3://shop/data", "logs.path=s3://shop/data-logs"),
        ("logs.path=gs://shop/data", "score.logs=hdfs:///data", "recommend.items=abfss://c@a.b/items.txt"),
    ],
)
def test_urls_that_lie_apart_are_not_refused(config: Path, overrides: tuple[str, ...]) -> None:
    load_settings(config, overrides)


@pytest.mark.parametrize("key", ["logs.path", "score.logs", "recommend.items"])
def test_a_url_that_spark_cannot_read_is_one_line(config: Path, key: str) -> None:
    (line,) = problems(config, f"{key}=ftp://shop/data")
    allowed = "allowed are local paths and URLs of file, s3 (or s3a), gs, abfss and hdfs"
    assert line == f"{config}: {key}: found 'ftp://shop/data', {allowed}"


@pytest.mark.parametrize("key", ["dataset.path", "run.path", "score.bundle", "train.warm_start.bundle"])
def test_datasets_and_bundles_are_published_on_disks_in_object_stores_and_in_hdfs(config: Path, key: str) -> None:
    for url in ("s3://shop/data", "s3a://shop/data", "file:///shop/data", "hdfs://node:8020/data", "hdfs:///data"):
        load_settings(config, [f"{key}={url}"])
    (line,) = problems(config, f"{key}=ftp://host/data")
    allowed = "allowed are local and mounted folders and URLs of s3 (or s3a), gs, abfss and hdfs"
    assert f"found 'ftp://host/data', {allowed}" in line


def test_a_missing_package_for_a_url_is_one_line_and_settings_of_artefacts_need_none(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent(protocol: str) -> None:
        raise ImportError(f"Install the client of {protocol}")

    monkeypatch.setattr(paths, "get_filesystem_class", absent)
    (line,) = problems(config, "run.path=s3://shop/data")
    assert line == f"{config}: run.path: s3://shop/data: Install the client of s3; for s3:// install the package s3fs"
    tree = yaml.safe_load(config.read_text())
    config.write_text(yaml.safe_dump({**tree, "run": {"path": "s3://shop/data"}}))
    assert str(read_settings(config).run.path) == "s3://shop/data"


def test_settings_of_an_artefact_open_no_connection(config: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0)
        tree = yaml.safe_load(config.read_text())
        for url in ("ftp://127.0.0.1:{}/data", "http://127.0.0.1:{}/data", "hdfs://127.0.0.1:{}/data"):
            path = url.format(server.getsockname()[1])
            config.write_text(yaml.safe_dump({**tree, "dataset": {"path": path}}))
            with suppress(SettingsError):
                read_settings(config)
            with pytest.raises(BlockingIOError):
                server.accept()


@pytest.mark.parametrize("name", ["what?", "a#1"])
def test_a_name_that_the_client_of_hdfs_cannot_read_is_one_line(config: Path, name: str) -> None:
    (line,) = problems(config, f"dataset.path='hdfs://node:8020/{name}'")
    assert line == f"{config}: dataset.path: hdfs://node:8020/{name}: hdfs-native cannot read names with ? or #"


def test_a_path_in_hdfs_names_its_namenode(config: Path) -> None:
    for url in ("hdfs://node:8020/data/100 %20", "hdfs://nameservice/data", "hdfs:///data"):
        path = load_settings(config, [f"dataset.path={url}"]).dataset.path
        assert str(path) == url
        assert str(pickle.loads(pickle.dumps(path)) / "train") == f"{url}/train"
        assert str(versions_of(path)) == f"{url}-versions"


def test_a_url_is_not_taken_for_a_folder(config: Path) -> None:
    (line,) = problems(config, "search.path=s3://shop/data")
    assert line.startswith(f"{config}: search.path: found 's3://shop/data', allowed are local and mounted folders; ")


@pytest.mark.parametrize("key", ["score.path", "recommend.path"])
def test_nights_are_published_anywhere_but_as_parquet_on_disks_alone(config: Path, key: str) -> None:
    settings = load_settings(config, [f"{key}=s3a://shop/nights"])
    assert str(settings.nightly.path if key == "score.path" else settings.recommendations_path) == "s3://shop/nights"
    (line,) = problems(config, f"{key}=s3a://shop/nights", "score.format=parquet")
    assert f"found parquet with the URL s3://shop/nights in {key}, allowed there is delta" in line
    line, *_ = problems(config, f"{key}=s3a://shop/logs/nights", "score.logs=s3://shop/logs")
    assert "lies inside score.logs (s3://shop/logs)" in line


@pytest.mark.parametrize("name", ["../../evil", "/evil", ".hidden", "a\\b", ""])
def test_a_name_does_not_leave_its_folder(config: Path, name: str) -> None:
    (line,) = problems(config, f"name='{name}'")
    assert "name: found" in line
    assert "allowed is a name without slashes that does not begin with a dot" in line


@pytest.mark.parametrize("section", ["compare", "studies"])
def test_a_model_of_a_comparison_does_not_either(config: Path, section: str) -> None:
    for name in ("..", ".", "../x"):
        lines = problems(config, f'{section}={{"{name}": {{}}}}')
        assert any(line.startswith(f"{config}: {section}.{name}") for line in lines)


def test_the_settings_in_a_bundle_are_read_whatever_their_paths(config: Path, tmp_path: Path) -> None:
    settings = load_settings(config)
    changed = settings.model_copy(update={"dataset": settings.dataset.model_copy(update={"path": tmp_path})})
    write_settings(changed, tmp_path / "written.yaml")
    assert read_settings(tmp_path / "written.yaml").dataset.path == tmp_path
