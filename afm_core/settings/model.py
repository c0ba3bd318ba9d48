"""Settings of the model and its regularisation."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from afm_core.settings.section import Positive, Section

Dropout = Annotated[float, Field(ge=0.0, lt=1.0)]
Kernel = Literal["auto", "reference", "cpu", "triton"]
Precision = Literal["float32", "bfloat16"]
Normalisation = Literal["batch", "layer"]
Activation = Literal["relu", "gelu", "silu"]


class ModelSettings(Section):
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
    """The model: `afm`, or one of those that it is compared with. `afm_core/models` has one file for each."""
    embedding_dim: Positive = 64
    """Embedding size: the paper's k, the length of every v_i."""
    attention_dim: Positive = 64
    """Attention size: the paper's t, the number of rows of W."""
    pooled_dropout: Dropout = 0.0
    """Dropout rate on the pooled vector during training."""
    attention_dropout: Dropout = 0.0
    """Dropout rate on the attention weights after the softmax during training (afm)."""
    attention: bool = True
    """Whether interactions are weighted by attention. False: the pooled vector is their plain sum, the paper's sum
    pooling (afm, deep_afm)."""
    attention_temperature: Annotated[float, Field(gt=0.0)] = 1.0
    """Divisor of the attention scores before the softmax; above 1 the weights are more even (afm, deep_afm)."""
    attention_sum: Literal["one", "pairs"] | None = None
    """What the attention weights of a row add up to (afm, deep_afm): `one`, as in the paper; or `pairs`, the number of
    its pairs. With tags, rows differ in that number: even weights then give the outputs of an FM for every row. Not
    set: `pairs` after an automatic warm start, otherwise `one`."""
    attention_l2: Annotated[float, Field(ge=0.0)] = 0.0
    """L2 regularisation: weight of the squared norm of W, the paper's lambda, added to the mean loss (afm)."""
    layers: tuple[Positive, ...] = (256, 128)
    """Units of each hidden layer; for deep_cross, the inner size of each residual unit."""
    deep_dropout: Dropout | tuple[Dropout, ...] = 0.0
    """Dropout rate after each hidden layer during training; a list has one rate for each of `layers`. deep_cross has
    dropout after its last unit alone, and takes one rate."""
    deep_normalisation: Normalisation | None = None
    """Normalisation of each hidden layer before its activation (not deep_cross): `batch`, over the rows of a step, of
    which each rank takes its own, or `layer`, over the units of a layer. Not set: none."""
    deep_activation: Activation = "relu"
    """Activation of the hidden layers: `relu`, `gelu` or `silu` (deep_cross: always `relu`)."""
    cross_layers: Positive = 3
    """Number of cross layers (dcn_v2)."""
    cross_rank: Annotated[int, Field(ge=0)] = 0
    """Rank of the cross layers' matrices; 0 means full rank (dcn_v2)."""
    pair_buckets: Positive = 1_048_576
    """Number of weights that the pairs of features are hashed into (poly2)."""
    precision: Precision = "float32"
    """Precision of the factors in matrix products of attention and dense layers; `bfloat16` where the hardware supports
    it. Weights, sums and the optimiser's state are always float32."""
    kernel: Kernel = "auto"
    """Implementation of pair attention: `auto` chooses the fastest, `reference` is plain torch."""

    @property
    def dropout_of_layers(self) -> tuple[float, ...]:
        """The dropout rate after each of `layers`."""
        rates = self.deep_dropout
        return rates if isinstance(rates, tuple) else (rates,) * len(self.layers)

    @model_validator(mode="after")
    def _of_these_layers(self) -> "ModelSettings":
        if len(self.dropout_of_layers) != len(self.layers):
            raise ValueError(
                f"deep_dropout has {len(self.dropout_of_layers)} rates for {len(self.layers)} layers; give one for "
                "each, or one number"
            )
        if self.name == "deep_cross" and isinstance(self.deep_dropout, tuple):
            raise ValueError("deep_dropout is one number for deep_cross, which has dropout after its last unit alone")
        return self
