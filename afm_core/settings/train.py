"""Settings of a training: the task, the optimiser, where it starts from, and how ranks share the work."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from afm_core.settings.model import Dropout
from afm_core.settings.section import Positive, Section, Share
from afm_core.storage.paths import PublishedPath

TaskName = Literal["regression", "classification", "ranking"]
OptimizerName = Literal["adagrad", "adam", "adamw", "sgd"]
Schedule = Literal["constant", "linear", "cosine", "plateau"]
Fitting = Literal["gradient", "gibbs"]
Sweeps = Annotated[int, Field(ge=10, le=100_000)]


def _warm_start_short_form(value: Any) -> Any:
    if value == "auto":
        return {"fit": "auto", "start": "sum"}
    return {"model": value} if isinstance(value, str) else value


class WarmStartSettings(Section):
    """A model whose bias, linear weights and embeddings the main model starts from."""

    model: Literal["fm"] = "fm"
    """Model that is trained first, unless `bundle` is set."""
    bundle: PublishedPath | None = None
    """Bundle to start from instead: any model whose embeddings have the same length and whose feature map is the
    dataset's or was extended to it."""
    fit: Fitting | Literal["auto"] = "gradient"
    """How the first model is fitted, as train.fit; or `auto`, by Gibbs sampling, and not at all where it cannot be
    sampled: for ranking, with weights, or where the training split has more than 20 million x_i."""
    sweeps: Sweeps = 200
    """Sweeps of Gibbs sampling (fit: gibbs)."""
    epochs: Positive = 10
    """Maximum number of epochs of the first model."""
    pooled_dropout: Dropout = 0.3
    """Dropout rate on the first model's pooled vector during its training."""
    overshoot_penalty: Share | None = None
    """Overshoot penalty of the first model's loss. Not set: train.overshoot_penalty."""
    optimizer: OptimizerName | None = None
    """Optimiser of the first model. Not set: train.optimizer."""
    learning_rate: Annotated[float, Field(gt=0.0, le=1e38)] | None = None
    """Learning rate of the first model. Not set: train.learning_rate."""
    embedding_l2: Annotated[float, Field(ge=0.0)] | None = None
    """L2 regularisation of the first model. Not set: train.embedding_l2."""
    start: Literal["mean", "sum"] = "mean"
    """Initial p and h (afm, deep_afm): `mean`, p = 1, as the paper's authors do; `sum`, p = the number of pairs and
    h = 0, so that the first output equals the FM's."""
    keep_optimizer_state: bool = False
    """Whether the copied parameters go on with the state that the first model's optimiser had for them. With adagrad
    their steps stay small, where a new accumulator makes the first ones as long as the learning rate."""
    freeze: bool = False
    """Whether the copied parameters stay fixed, so that only the rest of the model is trained."""


class TrainSettings(Section):
    """Training."""

    task: TaskName = "regression"
    """The task: `regression`, squared error, scores clipped to -1 .. 1; `classification`, log loss, scores are
    probabilities calibrated on the validation split; `ranking`, a positive above its own negatives (BPR), scores only
    order rows."""
    overshoot_penalty: Share = 1.0
    """Weight of the squared error where an output overshoots the end of the label range at which its label is; the
    clipped score is correct there. 1 is the paper's squared error, 0 the squared hinge loss (regression)."""
    warm_start: Annotated[
        WarmStartSettings | None,
        BeforeValidator(
            _warm_start_short_form, json_schema_input_type=WarmStartSettings | Literal["auto", "fm"] | None
        ),
    ] = WarmStartSettings(fit="auto", start="sum")
    """Warm start of a model with embeddings v_i (not linear, poly2, ffm): `auto`, short for {fit: auto, start: sum};
    `fm`; a mapping; or null, none. An fm itself goes on from one that was sampled, not from one found by gradient."""
    fit: Fitting = "gradient"
    """How the weights are found: `gradient`, by the optimiser; or `gibbs` (fm, regression and classification), as the
    mean of draws from their posterior distribution, which leaves nothing to tune: no rate, L2 or epochs. Rank 0 holds
    all training rows in memory and samples, on all of its threads."""
    sweeps: Sweeps = 200
    """Sweeps of Gibbs sampling, each over all rows; the first three tenths are not averaged (fit: gibbs)."""
    optimizer: OptimizerName = "adagrad"
    """Optimiser: `adagrad`, as in the paper, `adam`, `adamw` or `sgd`. All update only the embeddings of the batch."""
    learning_rate: Annotated[float, Field(gt=0.0, le=1e38)] = 0.05
    """Learning rate of the optimiser."""
    schedule: Schedule = "constant"
    """Learning-rate schedule: `constant`; decaying to 0 over `epochs`, `linear` or `cosine`; or `plateau`, multiplied
    by `plateau_factor` after each epoch whose validation result is no better than the best."""
    plateau_factor: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.1
    """Factor of the learning rate on a plateau (schedule: plateau)."""
    warmup_steps: Annotated[int, Field(ge=0)] = 0
    """Steps over which the learning rate rises linearly from 0."""
    weight_decay: Annotated[float, Field(ge=0.0)] = 0.0
    """Decoupled weight decay; applied to an embedding only in steps that use it (adamw)."""
    embedding_l2: Annotated[float, Field(ge=0.0)] = 0.0
    """L2 regularisation of embeddings and linear weights: this times the weights is added to the gradient of the rows
    that occur in the batch."""
    embedding_l2_counts: Literal["rows", "lookups"] = "rows"
    """What embedding_l2 is added for: `rows`, once in a step for each row of a table, however often it is looked up; or
    `lookups`, once for each look-up, divided by the rows of the step, as if the loss of an instance contained half
    the squared norms of its own vectors. Frequent values are then regularised more often."""
    clip_norm: Annotated[float, Field(gt=0.0)] | None = None
    """Largest Euclidean norm of the gradient of all weights; a longer one is scaled down to it. Not set: none."""
    ema_decay: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    """Decay per step of an exponential moving average of the weights, which is then validated and kept; 0 disables it.
    Costs one pass over all embeddings per step."""
    batch_size: Positive = 512
    """Rows of one step over all ranks."""
    micro_batches: Positive = 1
    """Number of micro-batches that each rank splits its rows of a step into, to save memory. Their gradients are
    accumulated, so the result differs only by rounding and by the draws of dropout (not for ranking)."""
    scale_learning_rate: bool = False
    """True: batch_size is the batch of one rank, and learning_rate is multiplied by the number of ranks. False: neither
    depends on the number of ranks."""
    gradient_exchange: Literal["auto", "rows"] = "auto"
    """How ranks exchange the gradient of an embedding table: `rows`, only the rows of the step; `auto`, whichever moves
    fewer bytes, those rows or the whole table."""
    compress_gradients: bool = False
    """Whether dense gradients are sent between ranks as float16."""
    epochs: Positive = 50
    """Maximum number of epochs."""
    patience: Positive = 3
    """Early stopping: number of consecutive epochs without a better validation result after which training stops. The
    best epoch is kept."""
    monitor: Literal["loss", "auc"] = "loss"
    """Validation result that decides which epoch is best: `loss`, the metric of the task, or `auc`, the area under the
    ROC curve, for labels of two values."""
    validate_steps: Positive | None = None
    """Steps between validations within an epoch, beside the one at its end, for a training that is best before an epoch
    is over; the best weights are kept. Not set: only at the end of each epoch."""
    stall_seconds: Positive = 600
    """Seconds that a rank may keep the others waiting before the training ends with an error that names it."""
    checkpoint_steps: Positive = 1000
    """Steps between checkpoints; another one is written after every epoch, and the last two are kept."""

    @model_validator(mode="after")
    def _of_one_task(self) -> "TrainSettings":
        if self.overshoot_penalty < 1.0 and self.task != "regression":
            raise ValueError(f"overshoot_penalty needs task: regression, found {self.task}")
        warm = self.warm_start
        if warm and warm.keep_optimizer_state and warm.optimizer not in (None, self.optimizer):
            raise ValueError(
                f"warm_start.keep_optimizer_state needs one optimiser for both, found {warm.optimizer} and "
                f"{self.optimizer}"
            )
        for section, fit in (("train", self.fit), ("warm_start", warm.fit if warm else None)):
            if fit == "gibbs" and self.task == "ranking":
                raise ValueError(f"{section}.fit: gibbs is for task: regression or classification, found ranking")
        if warm and warm.keep_optimizer_state and warm.fit == "gibbs":
            raise ValueError("warm_start.keep_optimizer_state needs fit: gradient; sampling has no optimiser")
        if self.micro_batches > 1 and self.task == "ranking":
            raise ValueError("micro_batches would separate positives from their negatives; leave it out for ranking")
        return self
