"""Settings of the model, its training and its use."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from afm_core.settings.section import Positive, Section

Dropout = Annotated[float, Field(ge=0.0, lt=1.0)]
Kernel = Literal["auto", "reference", "cpu", "triton"]
Precision = Literal["float32", "bfloat16"]


class Model(Section):
    """The model and its regularisation."""

    name: Literal[
        "afm",
        "fm",
        "linear",
        "poly2",
        "hofm",
        "ffm",
        "deep_afm",
        "wide_deep",
        "deep_cross",
        "nfm",
        "deepfm",
        "dcn_v2",
    ] = "afm"
    """`afm`, or one of the models that it is compared with; `afm_core/models` has a file for each."""
    embedding_dim: Positive = 64
    """k, the length of every v_i."""
    attention_dim: Positive = 64
    """t, the rows of W."""
    pooled_dropout: Dropout = 0.0
    """Dropout on the pooled vector, training only."""
    attention_dropout: Dropout = 0.0
    """Dropout on the attention weights after the softmax, training only (afm)."""
    attention: bool = True
    """False: the pooled vector is the plain sum of the interactions, the paper's sum pooling (afm, deep_afm)."""
    attention_temperature: Annotated[float, Field(gt=0.0)] = 1.0
    """Divides the attention scores before the softmax; above 1 the weights are more even (afm, deep_afm)."""
    attention_l2: Annotated[float, Field(ge=0.0)] = 0.0
    """Weight of the squared norm of W in the loss, beside the mean squared error (afm)."""
    layers: tuple[Positive, ...] = (256, 128)
    """Units of each layer of the perceptron; of each residual unit inside (deep_cross)."""
    deep_dropout: Dropout = 0.0
    """Dropout after each of those layers, training only."""
    cross_layers: Positive = 3
    """Cross layers (dcn_v2)."""
    pair_buckets: Positive = 1_048_576
    """Weights that the pairs of features are hashed into (poly2)."""
    precision: Precision = "float32"
    """Of the factors in the attention's products, `bfloat16` where the machine has units for it; sums are float32."""
    kernel: Kernel = "auto"
    """Implementation of the attention; `auto` takes the fastest, `reference` plain torch."""


def _warm_start_short_form(value: Any) -> Any:
    return {"model": value} if isinstance(value, str) else value


class WarmStart(Section):
    """A model trained first, whose bias, linear weights and embeddings are where the main model starts."""

    model: Literal["fm"] = "fm"
    """What is trained first."""
    epochs: Positive = 10
    """At most."""
    pooled_dropout: Dropout = 0.3
    """Dropout on its pooled vector, training only."""
    start: Literal["mean", "sum"] = "mean"
    """`mean`: p = 1, as the authors; `sum`: p = the number of pairs and h = 0, so that the first output is the FM's."""


class Train(Section):
    """Training."""

    task: Literal["regression"] = "regression"
    """`regression`: squared error, labels -1 and 1; predictions are clipped to that range when evaluated."""
    warm_start: Annotated[WarmStart | None, BeforeValidator(_warm_start_short_form)] = None
    """`fm`, or a mapping with its own epochs and dropout (afm, deep_afm; the other models start at random)."""
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


class Compared(Section):
    """One model of a comparison: what differs from the settings of the main model."""

    model: dict[str, Any] = Field(default={})
    """Keys of `model`, such as `{name: fm, pooled_dropout: 0.3}`."""
    train: dict[str, Any] = Field(default={})
    """Keys of `train`."""
    paper_rmse: float | None = None
    """What the literature reports, for the table."""


class Run(Section):
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


class Score(Section):
    """Nightly scoring."""

    logs: Path
    """Folder of the nights, `dt=YYYY-MM-DD/`."""
    path: Path
    """Folder of the scores, one `dt=YYYY-MM-DD/` a night."""
