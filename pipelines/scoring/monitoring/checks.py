"""What the scores of a night must be before anybody sees them."""

from dataclasses import dataclass
from datetime import date
from pathlib import Path

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from afm_core.drift.stability_index import Shift
from afm_core.errors import NightRefusedError
from afm_core.settings import Settings
from pipelines.contracts import SCORE
from pipelines.scoring.monitoring.drift import drifted
from pipelines.spark import literal


@dataclass(frozen=True)
class WrittenScores:
    """What is in the files of a night."""

    rows: int
    mean: float | None
    """Of the scores."""
    below: list[int]
    """Rows with scores up to each of the edges that were asked for."""


def read_back(spark: SparkSession, stage: Path, edges: list[float]) -> WrittenScores:
    """Look at what was written, in the files themselves.

    Raises:
        NightRefusedError: a score is not a number.
    """
    score = F.col(SCORE)
    lost = F.count_if(score.isNull() | F.isnan(score) | (F.abs(score) == float("inf")))
    below = [F.count_if(score <= F.lit(edge).cast("float")) for edge in edges]
    found = spark.read.parquet(literal(stage)).agg(F.count(F.lit(1)), F.avg(score), lost, *below).first()
    assert found is not None
    if found[2]:
        raise NightRefusedError(f"{found[2]:,} of {found[0]:,} scores are not numbers; train the bundle again")
    return WrittenScores(found[0], found[1], list(found[3:]))


def refuse_if_odd(
    settings: Settings, night: date, mean: float | None, unknown: dict[str, float], shifts: dict[str, Shift]
) -> None:
    """Compare a night with the limits of the settings.

    Raises:
        NightRefusedError: one of them is passed; says which, and what to do.
    """
    limits = settings.nightly
    field, share = max(unknown.items(), key=lambda item: item[1])
    if share > limits.max_unknown:
        raise NightRefusedError(
            f"night {night}: {share:.1%} of {field} missing or unseen, allowed is score.max_unknown = "
            f"{limits.max_unknown:.1%}; look at the logs, train on newer ones, or allow more"
        )
    if (
        limits.mean_score_range
        and mean is not None
        and not limits.mean_score_range[0] <= mean <= limits.mean_score_range[1]
    ):
        low, high = limits.mean_score_range
        raise NightRefusedError(
            f"night {night}: mean score {mean:+.4f}, allowed is score.mean_score_range = {low:+g} to {high:+g}; "
            "look at the logs and the bundle, or allow more"
        )
    moved = drifted(shifts, limits.drift, limits.drift.stop)
    if moved:
        raise NightRefusedError(
            f"night {night}: {in_words(moved)} moved from what the model was trained on, allowed is score.drift.stop = "
            f"{limits.drift.stop:g}; look at the logs, train on newer ones, or allow more"
        )


def in_words(moved: dict[str, float]) -> str:
    """Fields and their indices, the greatest first."""
    greatest = sorted(moved.items(), key=lambda item: -item[1])
    return ", ".join(f"{name} (PSI {index:.2f})" for name, index in greatest)
