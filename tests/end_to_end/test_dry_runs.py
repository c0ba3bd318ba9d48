"""What dry runs print: every path that the job would read and write, and nothing is written."""

from pathlib import Path

import pytest

from tests.support.config import NIGHT
from tests.support.files import snapshot
from tests.support.jobs import RunJob
from tests.support.small import Small


def content(small: Small) -> dict[str, str]:
    """What was prepared, trained and scored, without Spark's log, to which jobs of other tests write."""
    return {path: digest for path, digest in snapshot(small.folder).items() if Path(path).name != "spark.log"}


def printed_paths(out: str, folder: Path) -> set[str]:
    """The paths below `folder` that a table shows, relative to it."""
    words = out.replace(",", " ").replace(";", " ").split()
    return {word.removeprefix(f"{folder}/") for word in words if word.startswith(f"{folder}/")}


NIGHT_FOLDER = f"dt={NIGHT}"
CASES = {
    "prepare": ((), {"dataset"}),
    "partition": (("--by", "time", "--out", "{folder}/days"), {"days"}),
    "train": (("--ranks", "2"), {"dataset", "run/bundle_warm_start", "run/bundle"}),
    "evaluate": ((), {"dataset", "run/bundle", "run/bundle_warm_start", "run/evaluation.json", "run/report.html"}),
    "promote": ((), {"dataset", "run/bundle", "run/current"}),
    "export": (("--out", "{folder}/model.onnx"), {"run/bundle", "run/bundle/features.parquet", "model.onnx"}),
    "score": (("--date", NIGHT), {"current", f"scores/{NIGHT_FOLDER}"}),
    "recommend": (("--date", NIGHT, "--k", "3"), {"current", f"best/{NIGHT_FOLDER}"}),
    "compare": ((), {"dataset", "run/compare/fm/seed-1", "run/compare.md"}),
    "search": ((), {"dataset", "searches/small.jsonl"}),
}


@pytest.mark.parametrize("job", CASES)
def test_a_dry_run_prints_every_path_and_writes_nothing(run_job: RunJob, small: Small, job: str) -> None:
    arguments, expected = CASES[job]
    overrides = {
        "score.bundle": small.folder / "current",
        "recommend.path": small.folder / "best",
        "compare": "{fm: {model: {name: fm}}}",
        "search.path": small.folder / "searches",
    }
    options = [part for key, value in overrides.items() for part in ("--set", f"{key}={value}")]
    before = content(small)
    filled = [argument.format(folder=small.folder) for argument in arguments]
    outcome = run_job(job, small.config, "--dry-run", *filled, *options)
    assert outcome.code == 0, outcome.err
    assert "would" in outcome.out
    assert printed_paths(outcome.out, small.folder) == expected
    if job in ("score", "recommend", "prepare"):
        assert str(small.settings.logs.path) in outcome.out, "the logs that it reads"
    assert content(small) == before
