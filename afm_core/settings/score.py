"""Settings of what happens every night: scores, their checks, and the best items of each user."""

from typing import Annotated, Literal

from pydantic import Field

from afm_core.settings.section import Names, Positive, Section
from afm_core.storage.locations import LocationSetting
from afm_core.storage.paths import PublishedPath


class DriftSettings(Section):
    """How far a night may drift from the training data, as a population stability index of each field and the score."""

    warn: Annotated[float, Field(gt=0.0)] | None = 0.2
    """Index above which a field or the score is reported as drifted. A rule of thumb calls 0.1 a moderate and 0.25 a
    large change. null: never."""
    stop: Annotated[float, Field(gt=0.0)] | None = None
    """Index above which a night is not published. null: drift never stops a night."""
    ignore: Names | tuple[()] = ()
    """Fields that are not checked for drift, such as the weekday, which differs every night; `score` is the score."""


class ScoreSettings(Section):
    """Nightly scoring."""

    logs: LocationSetting
    """Folder of the nights' logs, `dt=YYYY-MM-DD/`; may be a URL, as logs.path."""
    path: LocationSetting
    """Folder of the scores, one `dt=YYYY-MM-DD/` per night; may be a URL, as logs.path."""
    format: Literal["parquet", "delta"] | None = None
    """How nights are published, also those of jobs/recommend.py: `parquet`, a folder of Parquet files per night, which
    needs a disk; or `delta`, a Delta table with a partition per night, anywhere. Not set: `parquet` on a disk, `delta`
    where the path is a URL."""
    bundle: PublishedPath | None = None
    """Bundle to score with. Not set: the one that training wrote last. With jobs/promote.py, name its `current`."""
    wait_for: Annotated[str, Field(pattern=r"^[^/]+$")] | None = None
    """File that the writer of the logs leaves in a night's folder when it is complete, such as `_SUCCESS`. A night
    without it is not scored yet (exit code 75). Not set: a night is complete unless something in its folder is being
    written (`_temporary`, `*.inprogress`, `*._COPYING_`, `*.tmp`)."""
    allow_empty: bool = False
    """Whether a night without events is published as an empty one. Otherwise it counts as not written yet (exit code
    75), unless the file `wait_for`, or `_SUCCESS`, is there."""
    max_unknown: Annotated[float, Field(ge=0.0, le=1.0)] | None = None
    """Maximum share of rows with a missing or unseen value in any one field; above it a night is not published. Not
    set: a night of 20 rows or more is not published where this share is above 99 % in more than half of the fields."""
    mean_score_range: tuple[float, float] | None = None
    """Smallest and largest mean score of a night; outside this range a night is not published."""
    drift: DriftSettings = DriftSettings()


class RecommendSettings(Section):
    """The best items of each user of a night (jobs/recommend.py). Logs and bundle are those of `score`."""

    path: LocationSetting | None = None
    """Folder of the recommendations, one `dt=YYYY-MM-DD/` per night; may be a URL. Not set: score.path followed by
    `_best_items`."""
    items: LocationSetting | None = None
    """Text file with the items to choose from, one value per line; may be a URL, as logs.path. Not set: all items of
    the training."""
    popular_items: Positive | None = None
    """Number of items to choose from, the most frequent ones in training. Not set: all."""
