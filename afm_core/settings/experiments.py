"""Settings of experiments: models side by side, one setting over several values, and the search for better settings."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, model_validator

from afm_core.settings.section import Positive, Section
from afm_core.storage.paths import LocalPath


class ModelVariant(Section):
    """One model of a comparison: the keys in which it differs from the main model's settings."""

    model: dict[str, Any] = Field(default={})
    """Keys of `model` that differ, such as `{name: fm, pooled_dropout: 0.3}`."""
    train: dict[str, Any] = Field(default={})
    """Keys of `train` that differ."""
    paper_rmse: float | None = None
    """RMSE that the literature reports for this model, shown in the table."""


class Study(Section):
    """One setting over several values, with everything else unchanged."""

    model: str
    """Name of the entry of `compare` whose setting is varied."""
    key: str
    """Key of `model` or `train` that is varied, such as `model.pooled_dropout`."""
    values: Annotated[tuple[int | float, ...], Field(min_length=2)]
    """Values that the key takes."""


class SearchDimension(Section):
    """The values that a search may give to one key."""

    low: float | None = None
    """Lower end of the range."""
    high: float | None = None
    """Upper end of the range."""
    log: bool = False
    """Whether values are drawn evenly on a logarithmic scale."""
    choices: tuple[bool | int | float | str, ...] = ()
    """Values to choose from, instead of a range."""
    models: tuple[str, ...] = ()
    """Models for which the key is varied. Not set: all."""

    @model_validator(mode="after")
    def _a_range_or_choices(self) -> "SearchDimension":
        if bool(self.choices) == (self.low is not None or self.high is not None):
            raise ValueError("give low and high, or choices")
        if not self.choices and (self.low is None or self.high is None or not self.low < self.high):
            raise ValueError("low must be less than high")
        if self.log and (self.low or 0.0) <= 0.0:
            raise ValueError("log needs a low above 0")
        return self


DEFAULT_SPACE = {
    "train.learning_rate": SearchDimension(low=0.001, high=0.2, log=True),
    "train.embedding_l2": SearchDimension(low=1e-6, high=1e-2, log=True),
    "model.pooled_dropout": SearchDimension(
        low=0.0, high=0.6, models=("fm", "afm", "deep_afm", "nfm", "hofm", "deepfm")
    ),
    "model.attention_l2": SearchDimension(low=1e-4, high=1.0, log=True, models=("afm", "deep_afm")),
    "model.deep_dropout": SearchDimension(
        low=0.0, high=0.6, models=("deep_afm", "wide_deep", "deep_cross", "nfm", "deepfm", "dcn_v2")
    ),
}


class SearchSettings(Section):
    """A search for better settings of each entry of `compare`, judged by the validation split alone."""

    trials: Positive = 8
    """Number of trials for each model. The first one has the settings as they are."""
    space: dict[str, SearchDimension] = Field(default={})
    """Search space: keys of `model` and `train`, such as `model.pooled_dropout: {low: 0.0, high: 0.8}`. Not set: the
    learning rate, L2 and the dropout rates that the model has."""
    path: LocalPath = Path("conf/searches")
    """Folder of the search log, a file named after the data set with one line per trial. A search continues where its
    log ends."""
