"""Bad input ends in one line that says what, where, what was allowed and what to do; the previous output stays."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.support.config import NIGHT, write_config
from tests.support.files import snapshot, staging
from tests.support.jobs import RunJob
from tests.support.small import Small

HEADER = "user,app\n"
GOOD = "".join(f"u{row % 9},a{row % 7}\n" for row in range(100))


def as_csv(path: Path, text: str) -> dict:
    (path / "logs.csv").write_text(text)
    return {"path": str(path / "logs.csv"), "format": "csv"}


def truncated_parquet(path: Path) -> dict:
    file = path / "logs.parquet"
    pd.DataFrame({"user": ["u"] * 5000, "app": ["a"] * 5000}).to_parquet(file)
    file.write_bytes(file.read_bytes()[:-40])
    return {"path": str(file), "format": "parquet"}


def parquet_damaged_inside(path: Path) -> dict:
    file = path / "logs.parquet"
    frame = pd.DataFrame({"user": [f"u{row}" for row in range(5000)], "app": [f"a{row}" for row in range(5000)]})
    frame.to_parquet(file, use_dictionary=False)
    content = bytearray(file.read_bytes())
    content[4:6000] = b"\xff" * 5996
    file.write_bytes(content)
    return {"path": str(file), "format": "parquet"}


def parquet_of_lists(path: Path) -> dict:
    pq.write_table(pa.table({"user": ["u"] * 3, "app": [["a"], ["b"], []]}), path / "logs.parquet")
    return {"path": str(path / "logs.parquet"), "format": "parquet"}


def empty_folder(path: Path) -> dict:
    (path / "logs").mkdir()
    return {"path": str(path / "logs"), "format": "csv"}


def column_lost(path: Path) -> dict:
    (path / "logs").mkdir()
    (path / "logs" / "a.csv").write_text(HEADER + GOOD)
    (path / "logs" / "b.csv").write_text("user,song\n" + GOOD)
    return {"path": str(path / "logs"), "format": "csv"}


CASES: dict[str, tuple[Callable[[Path], dict], str]] = {
    "truncated parquet": (truncated_parquet, "logs.parquet: cannot be read: "),
    "parquet damaged inside": (parquet_damaged_inside, "logs.parquet: cannot be read: "),
    "no such file": (lambda path: {"path": str(path / "none.csv")}, "no logs there"),
    "empty file": (lambda path: as_csv(path, ""), "column user, app missing; found: none"),
    "empty folder": (empty_folder, "an empty folder"),
    "header only": (lambda path: as_csv(path, HEADER), "holds no rows"),
    "column missing from csv": (lambda path: as_csv(path, "user,song\nu,s\n"), "column app missing; found: user, song"),
    "column missing from json": (
        lambda path: {**as_csv(path, '{"user": "u"}\n{"user": "v"}\n'), "format": "json"},
        "missing app 2",
    ),
    "column of lists": (parquet_of_lists, "column app is array<string>; allowed are plain values"),
    "2 % malformed": (
        lambda path: as_csv(path, HEADER + GOOD[:-6] + "u1\nu2,a,x\n"),
        "2 of 101 rows rejected (1.98%; malformed 2), allowed is logs.max_rejected = 1.00%",
    ),
    "column missing from one csv": (
        column_lost,
        "b.csv: column app missing, which other files have; found: user, song",
    ),
    "not a number": (lambda path: as_csv(path, HEADER + GOOD + "x9,a1\n" * 3), "not_an_integer user 103"),
}


@pytest.mark.parametrize("case", CASES)
def test_unusable_logs_stop_preparation_in_one_line(run_job: RunJob, small: Small, tmp_path: Path, case: str) -> None:
    make, part = CASES[case]
    fields = [{"name": "user", "type": "integer" if case == "not a number" else "string"}, "app"]
    logs = {"keys": [], "last_date": None, **make(tmp_path)}
    config = write_config(tmp_path, tmp_path / "nights", logs=logs, fields=fields)
    shutil.copytree(small.settings.dataset.path, tmp_path / "dataset")
    before = snapshot(tmp_path / "dataset")

    outcome = run_job("prepare", config)

    assert outcome.code == 2
    assert len(outcome.errors) == 1, outcome.err
    assert part in outcome.errors[0]
    assert "Traceback" not in outcome.err
    assert snapshot(tmp_path / "dataset") == before
    assert not staging(tmp_path / "dataset")


@pytest.fixture
def own(small: Small, tmp_path: Path) -> Path:
    """A copy of the small data set's outputs, with settings of its own."""
    for name in ("dataset", "run", "scores"):
        shutil.copytree(small.folder / name, tmp_path / name)
    return write_config(tmp_path, small.settings.nightly.logs)


def published(scores: Path) -> dict[str, str]:
    """What a reader of scores can see; the ledger keeps a row of every try."""
    return {name: digest for name, digest in snapshot(scores).items() if name.startswith("dt=")}


def refused(run_job: RunJob, own: Path, part: str, name: str, *arguments: str) -> None:
    before = published(own.parent / "scores")
    outcome = run_job(name, own, *arguments)
    assert outcome.code == 2
    assert len(outcome.errors) == 1, outcome.err
    assert part in outcome.errors[0]
    assert published(own.parent / "scores") == before


@pytest.mark.parametrize(
    ("job", "folder", "overrides"),
    [("prepare", "other", ("--set", "dataset.path={other}")), ("train", "run/bundle", ())],
)
def test_a_folder_of_something_else_is_not_replaced(
    run_job: RunJob, own: Path, tmp_path: Path, job: str, folder: str, overrides: tuple[str, ...]
) -> None:
    target = tmp_path / folder
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    (target / "letter.txt").write_text("precious")
    outcome = run_job(job, own, *[part.format(other=target) for part in overrides])
    assert outcome.code == 2
    (line,) = outcome.errors
    assert f"{target}: not replaced" in line
    assert [path.name for path in target.iterdir()] == ["letter.txt"]


def test_an_unknown_night_says_which_there_are(run_job: RunJob, own: Path) -> None:
    refused(run_job, own, "the nights there are 2026-01-01 to 2026-01-04", "score", "--date", "2027-01-01")


def test_a_night_with_too_many_malformed_lines_publishes_nothing(
    run_job: RunJob, own: Path, small: Small, tmp_path: Path
) -> None:
    nights = shutil.copytree(small.settings.nightly.logs, tmp_path / "nights")
    file = nights / f"dt={NIGHT}" / "part-00000.csv"
    file.write_text(file.read_text() + "only,three,columns\n" * 20)
    refused(run_job, own, "allowed is logs.max_rejected", "score", "--date", NIGHT, "--set", f"score.logs={nights}")


def test_a_bundle_of_other_fields_cannot_score(run_job: RunJob, own: Path) -> None:
    fields = "fields=[user, app, daypart, place]"
    refused(
        run_job,
        own,
        "its feature map has the fields user, app, daypart, weekday, place",
        "score",
        "--date",
        NIGHT,
        "--set",
        fields,
    )


def test_a_bundle_with_another_feature_map_inside_cannot_score(run_job: RunJob, own: Path) -> None:
    features = own.parent / "run" / "bundle" / "features.parquet"
    table = pq.read_table(features)
    pq.write_table(table.slice(0, table.num_rows - 1), features)
    refused(run_job, own, "features.parquet: missing or changed", "score", "--date", NIGHT)


def test_a_bundle_of_another_feature_map_is_not_evaluated(run_job: RunJob, own: Path, small: Small) -> None:
    assert run_job("prepare", own, "--set", "logs.last_date=2026-01-02").code == 0
    refused(run_job, own, "trained with feature map", "evaluate")


def test_training_without_a_dataset_is_one_line(run_job: RunJob, own: Path) -> None:
    refused(run_job, own, "no dataset there", "train", "--set", "dataset.path=nowhere")


def test_unknown_settings_are_a_line_each(run_job: RunJob, own: Path) -> None:
    outcome = run_job("train", own, "--set", "train.epoch=1", "--set", "model.dims=3")
    assert outcome.code == 2
    assert len(outcome.errors) == 2
    assert "did you mean epochs?" in outcome.errors[0] + outcome.errors[1]
