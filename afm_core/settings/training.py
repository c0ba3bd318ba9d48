"""Settings of the model, its training and its use."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from afm_core.settings.section import ColumnName, Names, Positive, Section, Share

Dropout = Annotated[float, Field(ge=0.0, lt=1.0)]
Kernel = Literal["auto", "reference", "cpu", "triton"]
Precision = Literal["float32", "bfloat16"]
TaskName = Literal["regression", "classification", "ranking"]
OptimizerName = Literal["adagrad", "adam", "adamw", "sgd"]
Schedule = Literal["constant", "linear", "cosine"]


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
    cross_rank: Annotated[int, Field(ge=0)] = 0
    """Rank of their matrices, 0: full (dcn_v2)."""
    pair_buckets: Positive = 1_048_576
    """Weights that the pairs of features are hashed into (poly2)."""
    precision: Precision = "float32"
    """Of the factors in the products of the attention and of dense layers, `bfloat16` where the machine has units for
    it; weights, sums and optimiser are float32."""
    kernel: Kernel = "auto"
    """Implementation of the attention; `auto` takes the fastest, `reference` plain torch."""


def _warm_start_short_form(value: Any) -> Any:
    return {"model": value} if isinstance(value, str) else value


class WarmStartSettings(Section):
    """A model trained first, or a bundle, whose bias, linear weights and embeddings are where the main model starts."""

    model: Literal["fm"] = "fm"
    """What is trained first, without a bundle."""
    bundle: Path | None = None
    """A bundle of any model with embeddings of the same length, whose feature map is the dataset's or was extended."""
    epochs: Positive = 10
    """At most."""
    pooled_dropout: Dropout = 0.3
    """Dropout on its pooled vector, training only."""
    overshoot_penalty: Share | None = None
    """As train.overshoot_penalty, which it has where this is not set; so have the next two."""
    optimizer: OptimizerName | None = None
    """As train.optimizer."""
    learning_rate: Annotated[float, Field(gt=0.0)] | None = None
    """As train.learning_rate."""
    start: Literal["mean", "sum"] = "mean"
    """Of afm and deep_afm: `mean`, p = 1, as the authors; `sum`, p = the number of pairs and h = 0, so that the first
    output is the FM's."""
    freeze: bool = False
    """Keep what is taken over as it is, and train the rest of the model only."""


class TrainSettings(Section):
    """Training."""

    task: TaskName = "regression"
    """`regression`: squared error, scores clipped to -1 .. 1; `classification`: log loss, scores are probabilities,
    calibrated on the validation split; `ranking`: a positive above its own negatives (BPR), scores are for order."""
    overshoot_penalty: Share = 1.0
    """Weight of the squared error of an output beyond the end of the range at which its label is, where the clipped
    score is right: 1, as in the paper, or less; 0 is the squared hinge loss (regression)."""
    warm_start: Annotated[WarmStartSettings | None, BeforeValidator(_warm_start_short_form)] = None
    """`fm`, or a mapping with its own epochs and dropout, for every model with embeddings v_i but fm itself; linear,
    poly2 and ffm have none, and start at random."""
    optimizer: OptimizerName = "adagrad"
    """`adagrad`, as in the paper, `adam`, `adamw` or `sgd`; all touch only the embeddings of the batch."""
    learning_rate: Annotated[float, Field(gt=0.0)] = 0.05
    """Of the optimiser, for the batch size below."""
    schedule: Schedule = "constant"
    """Of the learning rate: `constant`, or falling to 0 over `epochs`, `linear` or as half a `cosine`."""
    warmup_steps: Annotated[int, Field(ge=0)] = 0
    """Steps over which the learning rate first rises from 0."""
    weight_decay: Annotated[float, Field(ge=0.0)] = 0.0
    """Decoupled; of an embedding only in the steps that touch it (adamw)."""
    embedding_l2: Annotated[float, Field(ge=0.0)] = 0.0
    """Adds this times the weights to the gradient of embeddings and linear weights, for the rows of the batch only."""
    average: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    """Decay a step of an exponential moving average of the weights, which is then what is validated and kept; it costs
    a pass over all embeddings a step. 0: none."""
    batch_size: Positive = 512
    """Rows of one step over all ranks."""
    accumulate: Positive = 1
    """Work through each rank's rows of a step in so many parts, one after another, where memory does not hold them at
    once; but for rounding and the draws of dropout the outcome is the same (not for ranking)."""
    scale_learning_rate: bool = False
    """True: batch_size is that of one rank, and learning_rate is multiplied by the number of ranks. False: neither
    depends on how many there are."""
    exchange: Literal["auto", "rows"] = "auto"
    """What ranks send of an embedding's gradient: `rows`, those of the step, or whichever moves fewer bytes, those or
    the whole table in one sum with the dense gradients."""
    compress_gradients: bool = False
    """Send dense gradients between ranks as float16."""
    epochs: Positive = 20
    """At most."""
    patience: Positive = 3
    """Stop after so many epochs in a row that did not validate better; the best epoch is kept."""
    stall_seconds: Positive = 600
    """A rank that keeps the others waiting so long ends the training, and is named."""
    checkpoint_steps: Positive = 1000
    """Write a checkpoint every so many steps, and after every epoch; the last two are kept."""

    @model_validator(mode="after")
    def _of_one_task(self) -> "TrainSettings":
        if self.overshoot_penalty < 1.0 and self.task != "regression":
            raise ValueError(f"overshoot_penalty needs task: regression, found {self.task}")
        if self.accumulate > 1 and self.task == "ranking":
            raise ValueError("accumulate would tear positives from their negatives; leave it out for ranking")
        return self


class EvaluateSettings(Section):
    """Evaluation."""

    lists: ColumnName | None = None
    """Field whose rows are ranked against each other. Not set: the first of `negatives.never_seen_by`."""
    k: tuple[Positive, ...] = (5, 10)
    """The first so many of a list, for HR@K and NDCG@K."""


class RunSettings(Section):
    """Where training writes."""

    path: Path
    """Folder for the bundle, the metrics and the history."""
    mlflow: str | None = None
    """An experiment in MLflow that keeps the numbers of each epoch, too; where it is, MLFLOW_TRACKING_URI says."""

    @property
    def bundle(self) -> Path:
        """The trained model."""
        return self.path / "bundle"

    @property
    def checkpoints(self) -> Path:
        """Of the training, a folder a model."""
        return self.path / "checkpoints"

    @property
    def history(self) -> Path:
        """A line of JSON an epoch."""
        return self.path / "history.jsonl"

    @property
    def tensorboard(self) -> Path:
        """What `tensorboard --logdir` shows, a folder a model."""
        return self.path / "tensorboard"

    @property
    def current(self) -> Path:
        """The bundle that was promoted last."""
        return self.path / "current"

    @property
    def warm_start_bundle(self) -> Path:
        """The model that the trained one started from."""
        return self.path / "bundle_warm_start"


class PromoteSettings(Section):
    """What jobs/promote.py asks of a new bundle, measured on the validation split beside the current one."""

    auc: Share = 0.005
    """So much lower than the current bundle's AUC it may be."""
    normalised_entropy: Annotated[float, Field(ge=0.0)] = 0.01
    """So much higher its normalised entropy."""
    calibration: tuple[float, float] = (0.9, 1.1)
    """Expected over observed positives, from and to."""
    score_drift: Annotated[float, Field(gt=0.0)] = 0.25
    """Population stability index of its scores against the current bundle's, on the same rows, at most."""
    max_unknown: Share = 1.0
    """Share of the rows with a missing or unseen value of any one field, at most."""


class DriftSettings(Section):
    """How far a night may have moved from the training, as a population stability index of each field and the score."""

    warn: Annotated[float, Field(gt=0.0)] | None = 0.2
    """Warn beyond this; rules of thumb call 0.1 some change and 0.25 a great one. null: never."""
    stop: Annotated[float, Field(gt=0.0)] | None = None
    """Do not publish beyond this. null: publish all the same."""
    ignore: Names | tuple[()] = ()
    """Fields that follow the calendar, such as the weekday, which is another one every night; `score` is the score."""


class ScoreSettings(Section):
    """Nightly scoring."""

    logs: Path
    """Folder of the nights, `dt=YYYY-MM-DD/`."""
    path: Path
    """Folder of the scores, one `dt=YYYY-MM-DD/` a night."""
    bundle: Path | None = None
    """What scores. Not set: what training wrote last; with jobs/promote.py, its `current`."""
    max_unknown: Annotated[float, Field(ge=0.0, le=1.0)] = 1.0
    """A night with a larger share of missing or unseen values of any one field is not published."""
    mean_score: tuple[float, float] | None = None
    """A night whose mean score is outside these two is not published."""
    drift: DriftSettings = DriftSettings()
    items: Path | None = None
    """With --candidates: a text file with the items to choose from, one value a line. Not set: all of the training."""
    popular_items: Positive | None = None
    """With --candidates: of those, only so many, the most frequent in training."""

    @property
    def best_items_path(self) -> Path:
        """Folder of what --candidates finds, one `dt=YYYY-MM-DD/` a night."""
        return self.path.with_name(f"{self.path.name}_best_items")
