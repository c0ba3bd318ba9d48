"""What the scores of a night must fulfil before anybody sees them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from afm_core.drift.stability_index import Shift
from afm_core.errors import NightRefusedError
from afm_core.settings.score import ScoreSettings
from afm_core.storage.locations import Location
from pipelines.contracts import SCORE
from pipelines.scoring.monitoring.drift import drifted
from pipelines.spark import literal

_STRANGE = 0.99
"""Share of rows with a missing or unseen value above which the model does not know a field."""
_FEW_ROWS = 20
"""Rows from which that is no longer chance."""


@dataclass(frozen=True)
class WrittenScores:
    """What the files of a night contain."""

    rows: int
    mean: float | None
    """Mean score; None without rows."""
    cumulative: list[int]
    """Number of scores up to each edge of the drift baseline."""


def read_back(spark: SparkSession, files: Sequence[Location], edges: list[float]) -> WrittenScores:
    """Read what was written from the files themselves.

    Args:
        files: files, or the folder of them.
        edges: edges of the drift baseline's bins of scores.

    Raises:
        NightRefusedError: a score is not a finite number.
    """
    score = F.col(SCORE)
    invalid = F.count_if(score.isNull() | F.isnan(score) | (F.abs(score) == float("inf")))
    cumulative = [F.count_if(score <= F.lit(edge).cast("float")) for edge in edges]
    row = spark.read.parquet(*map(literal, files)).agg(F.count(F.lit(1)), F.avg(score), invalid, *cumulative).first()
    assert row is not None
    if row[2]:
        raise NightRefusedError(f"{row[2]:,} of {row[0]:,} scores are not numbers; train the bundle again")
    return WrittenScores(row[0], row[1], list(row[3:]))


def refuse_if_out_of_limits(
    limits: ScoreSettings,
    night: date,
    rows: int,
    mean: float | None,
    unknown: Mapping[str, float],
    shifts: Mapping[str, Shift],
) -> None:
    """Compare a night with the limits of the settings.

    Args:
        rows: scored rows.
        mean: mean score.
        unknown: share of rows with a missing or unseen value, by field.
        shifts: shift of each field and of the score against the training.

    Raises:
        NightRefusedError: a limit is exceeded; the message says which, and what to do.
    """
    field, share = max(unknown.items(), key=lambda item: item[1])
    if limits.max_unknown is not None and share > limits.max_unknown:
        raise NightRefusedError(
            f"night {night}: {share:.1%} of {field} missing or unseen, allowed is score.max_unknown = "
            f"{limits.max_unknown:.1%}; check the logs, train on newer ones, or allow more"
        )
    strange = [name for name, share in unknown.items() if share > _STRANGE]
    if limits.max_unknown is None and rows >= _FEW_ROWS and len(strange) > len(unknown) / 2:
        raise NightRefusedError(
            f"night {night}: the model knows no value of {', '.join(strange)} in more than {_STRANGE:.0%} of the rows; "
            "check how the logs write these values, train on newer logs, or set score.max_unknown"
        )
    low, high = limits.mean_score_range or (float("-inf"), float("inf"))
    if mean is not None and not low <= mean <= high:
        raise NightRefusedError(
            f"night {night}: mean score {mean:+.4f}, allowed is score.mean_score_range = {low:+g} to {high:+g}; "
            "check the logs and the bundle, or allow more"
        )
    above_limit = drifted(shifts, limits.drift, limits.drift.stop)
    if above_limit:
        raise NightRefusedError(
            f"night {night}: {in_words(above_limit)} drifted from the training data, allowed is score.drift.stop = "
            f"{limits.drift.stop:g}; check the logs, train on newer ones, or allow more"
        )


def in_words(indices: Mapping[str, float]) -> str:
    """Fields and their indices, the largest first."""
    largest_first = sorted(indices.items(), key=lambda item: -item[1])
    return ", ".join(f"{name} (PSI {index:.2f})" for name, index in largest_first)
