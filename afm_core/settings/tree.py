"""The settings tree. Every key that a YAML file may hold is declared here, with its meaning and its default."""

from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from afm_core.features.field import FieldOrName

Positive = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0.0, le=1.0)]
Dropout = Annotated[float, Field(ge=0.0, lt=1.0)]
Kernel = Literal["auto", "reference", "cpu", "triton"]
Precision = Literal["float32", "bfloat16"]
ColumnName = Annotated[str, Field(min_length=1)]


def _names_short_form(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Logs(_Section):
    """Raw logs."""

    path: Path
    """A file, or a folder of files, possibly with `dt=YYYY-MM-DD` partitions."""
    format: Literal["csv", "json", "parquet"] = "csv"
    """`csv` with any one-character separator, `json` lines, or `parquet`."""
    separator: Annotated[str, Field(min_length=1, max_length=1)] = ","
    """Between the columns of a csv file."""
    columns: tuple[ColumnName, ...] = ()
    """Names of the columns of a csv file without a header. Empty: the first line of every file is a header."""
    separator_in: ColumnName | None = None
    """The column of a csv file without quotes whose text may hold the separator; it gets what the others leave."""
    keys: tuple[ColumnName, ...] = ()
    """Columns that identify a log; scores carry them. Empty: scores carry the fields themselves."""
    max_rejected: Share = 0.0
    """A larger share of rejected rows stops the job."""
    first_date: date | None = None
    """Leave out `dt` partitions before this day."""
    last_date: date | None = None
    """Leave out `dt` partitions after this day."""


class Negatives(_Section):
    """Negatives drawn for each positive."""

    per_positive: Annotated[int, Field(ge=0, le=100)] = 2
    """How many."""
    replace: ColumnName = "item"
    """The field whose value is replaced by another of its vocabulary, each equally likely."""
    never_seen_by: Annotated[tuple[ColumnName, ...], Field(min_length=1), BeforeValidator(_names_short_form)] = (
        "user",
    )
    """A field, or several: a value that any log shows with this row's values of all of them is never drawn."""


class Split(_Section):
    """Shares of the instances."""

    train: Share = 0.7
    """To fit the weights."""
    valid: Share = 0.2
    """To choose the epoch, and the settings."""
    test: Share = 0.1
    """To measure the result, once."""
    by: ColumnName = "random"
    """What stays together: `random`, nothing, as in the paper; `positive`, a log and its negatives; or a field, all
    instances with the same value of it, say those of a user."""

    @model_validator(mode="after")
    def _shares_sum_to_one(self) -> "Split":
        if abs(self.train + self.valid + self.test - 1.0) > 1e-9:
            raise ValueError("train, valid and test must sum to 1")
        if min(self.train, self.valid, self.test) <= 0:
            raise ValueError("train, valid and test must each be above 0")
        return self


class Dataset(_Section):
    """Where the prepared Parquet goes, and its shape."""

    path: Path
    """The dataset's folder, replaced whole by each preparation."""
    rows_per_file: Annotated[int, Field(ge=1, le=4_000_000)] = 16_384
    """Rows of each file, which is one row group."""


class Model(_Section):
    """The model and its regularisation."""

    name: Literal["afm", "fm"] = "afm"
    """`afm`, or `fm`, a factorization machine without attention."""
    embedding_dim: Positive = 64
    """k, the length of every v_i."""
    attention_dim: Positive = 64
    """t, the rows of W."""
    pooled_dropout: Dropout = 0.0
    """Dropout on the pooled vector, training only."""
    attention_dropout: Dropout = 0.0
    """Dropout on the attention weights after the softmax, training only (afm)."""
    attention_l2: Annotated[float, Field(ge=0.0)] = 0.0
    """Weight of the squared norm of W in the loss, beside the mean squared error (afm)."""
    precision: Precision = "float32"
    """Of the factors in the attention's products, `bfloat16` where the machine has units for it; sums are float32."""
    kernel: Kernel = "auto"
    """Implementation of the attention; `auto` takes the fastest, `reference` plain torch."""


def _warm_start_short_form(value: Any) -> Any:
    return {"model": value} if isinstance(value, str) else value


class WarmStart(_Section):
    """A model trained first, whose bias, linear weights and embeddings are where the main model starts."""

    model: Literal["fm"] = "fm"
    """What is trained first."""
    epochs: Positive = 10
    """At most."""
    pooled_dropout: Dropout = 0.3
    """Dropout on its pooled vector, training only."""


class Train(_Section):
    """Training."""

    task: Literal["regression"] = "regression"
    """`regression`: squared error, labels -1 and 1; predictions are clipped to that range when evaluated."""
    warm_start: Annotated[WarmStart | None, BeforeValidator(_warm_start_short_form)] = None
    """`fm`, or a mapping with its own epochs and dropout."""
    optimizer: Literal["adagrad", "adam"] = "adagrad"
    """`adagrad`, as in the paper, or `adam`; both touch only the embeddings of the batch."""
    learning_rate: Annotated[float, Field(gt=0.0)] = 0.05
    """Of the optimiser, for the batch size below."""
    batch_size: Positive = 512
    """Rows of one step over all ranks."""
    epochs: Positive = 20
    """At most."""
    patience: Positive = 3
    """Stop after so many epochs in a row without a better validation RMSE; the best epoch is kept."""


class Run(_Section):
    """Where training writes."""

    path: Path
    """Folder for the bundle, the metrics and the history."""

    @property
    def bundle(self) -> Path:
        """The trained model."""
        return self.path / "bundle"

    @property
    def warm_start_bundle(self) -> Path:
        """The model that the trained one started from."""
        return self.path / "bundle_warm_start"


class Score(_Section):
    """Nightly scoring."""

    logs: Path
    """Folder of the nights, `dt=YYYY-MM-DD/`."""
    path: Path
    """Folder of the scores, one `dt=YYYY-MM-DD/` a night."""


class Settings(_Section):
    """The whole tree."""

    name: Annotated[str, Field(min_length=1)]
    """Name of the data set."""
    seed: Annotated[int, Field(ge=1, lt=2**31)] = 1
    """Of all randomness. Same input, settings and seed: same result."""
    logs: Logs
    fields: Annotated[tuple[FieldOrName, ...], Field(min_length=2)]
    """Columns that become features, in the order of the batch; a name is short for `{name, kind: categorical}`."""
    negatives: Negatives = Negatives()
    split: Split = Split()
    dataset: Dataset
    model: Model = Model()
    train: Train = Train()
    run: Run
    score: Score

    @model_validator(mode="after")
    def _names_agree(self) -> "Settings":
        names = [field.name for field in self.fields]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"fields: {', '.join(twice)} declared more than once")
        reserved = sorted({"label", "row_key", "dt"} & set(names))
        if reserved:
            raise ValueError(f"fields: {', '.join(reserved)} is a column that the pipeline writes itself; rename it")
        for key, found in (("replace", (self.negatives.replace,)), ("never_seen_by", self.negatives.never_seen_by)):
            for name in found:
                if name not in names:
                    raise ValueError(
                        f"negatives.{key}: found {name!r}, allowed is one of the fields: {', '.join(names)}"
                    )
        if self.negatives.replace in self.negatives.never_seen_by:
            raise ValueError("negatives.replace and negatives.never_seen_by must be different fields")
        if self.split.by not in ("random", "positive", *names):
            allowed = ", ".join(["random", "positive", *names])
            raise ValueError(f"split.by: found {self.split.by!r}, allowed is one of {allowed}")
        if self.logs.separator_in is not None and self.logs.separator_in not in self.logs.columns:
            raise ValueError("logs.separator_in needs logs.columns, without a header, and must be one of them")
        return self

    @property
    def field_names(self) -> tuple[str, ...]:
        """Names of the fields in the order of the batch."""
        return tuple(field.name for field in self.fields)

    @property
    def required_fields(self) -> tuple[str, ...]:
        """Fields without which a log says nothing: a row that lacks one is rejected."""
        return (*self.negatives.never_seen_by, self.negatives.replace)
