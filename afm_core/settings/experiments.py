"""Settings of comparisons: models side by side, one setting over several values, and the search for better ones."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, model_validator

from afm_core.settings.section import Positive, Section


class ModelVariant(Section):
    """One model of a comparison: what differs from the settings of the main model."""

    model: dict[str, Any] = Field(default={})
    """Keys of `model`, such as `{name: fm, pooled_dropout: 0.3}`."""
    train: dict[str, Any] = Field(default={})
    """Keys of `train`."""
    paper_rmse: float | None = None
    """What the literature reports, for the table."""


class Study(Section):
    """One key of the settings over several values, everything else as it is."""

    model: str
    """The entry of `compare` that is varied."""
    key: str
    """Key of `model` or `train`, such as `model.pooled_dropout`."""
    values: Annotated[tuple[int | float, ...], Field(min_length=2)]
    """Its values."""


class SearchDimension(Section):
    """The values that a search may give to one key."""

    low: float | None = None
    """Least number."""
    high: float | None = None
    """Greatest number."""
    log: bool = False
    """Whether numbers are drawn evenly over their logarithm."""
    choices: tuple[bool | int | float | str, ...] = ()
    """Instead of a range: the values themselves."""
    models: tuple[str, ...] = ()
    """Only for these; not set: for all."""

    @model_validator(mode="after")
    def _a_range_or_choices(self) -> "SearchDimension":
        if bool(self.choices) == (self.low is not None or self.high is not None):
            raise ValueError("give low and high, or choices")
        if not self.choices and (self.low is None or self.high is None or not self.low < self.high):
            raise ValueError("low must be less than high")
        if self.log and (self.low or 0.0) <= 0.0:
            raise ValueError("log needs a low above 0")
        return self


class SearchSettings(Section):
    """A search for better settings of each model to compare, by the validation split alone."""

    trials: Positive = 8
    """Of each model."""
    space: dict[str, SearchDimension] = Field(default={})
    """What to vary: keys of `model` and `train`, such as `model.pooled_dropout: {low: 0.0, high: 0.8}`."""
    path: Path = Path("conf/searches")
    """Folder of the log, a line a trial, in a file named after the data set. A search goes on where its log ends."""
