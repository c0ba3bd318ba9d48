"""Everything that changes during a training: with it, a stopped training continues as if it had not been stopped."""

import copy
from dataclasses import asdict, dataclass, field
from typing import Any, cast

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from afm_core.learning.moving_average import MovingAverage
from afm_core.learning.optimisers import build_optimizer
from afm_core.learning.schedule import n_plateaus, rate_factor
from afm_core.models import AnyModel
from afm_core.settings import Settings
from pipelines.feeding.shard_plan import RowRanges
from pipelines.training.device_losses import UnreadStep
from pipelines.training.results import Epoch, Validation


@dataclass
class TrainingState:
    """A model in training and everything that changes with it. The loop updates it in place."""

    model: AnyModel
    optimizer: Optimizer
    schedule: LambdaLR = field(init=False)
    average: MovingAverage | None = None
    epoch: int = 1
    """Number of the current epoch."""
    step: int = 0
    """Completed steps of the current epoch."""
    remaining: RowRanges | None = None
    """Rows of the epoch that these steps have not used; None before the first step."""
    rows: int = 0
    """Rows that all ranks have used in these steps."""
    loss: float = 0.0
    """Sum of the losses of these steps; rank 0 also holds those of all ranks up to the last checkpoint."""
    terms: int = 0
    """Number of losses in the sum."""
    unread: list[UnreadStep] = field(default_factory=list)
    """Steps whose losses are not in the sum yet; none where a checkpoint is written."""
    epochs: list[Epoch] = field(default_factory=list)
    """Completed epochs."""
    n_plateaus: int = 0
    """Number of these that were no better than the best before."""
    within: tuple[Validation, int] | None = None
    """The best validation within the current epoch, and the step after which it was made."""
    best: Epoch | None = None
    best_weights: dict[str, Tensor] = field(default_factory=dict)

    @classmethod
    def start(cls, model: AnyModel, settings: Settings, steps_per_epoch: int) -> "TrainingState":
        """The state before the first step."""
        train = settings.train
        steps = steps_per_epoch * train.epochs
        optimizer = build_optimizer([weight for weight in model.parameters() if weight.requires_grad], train)

        state = cls(model, optimizer, average=MovingAverage(model, train.ema_decay) if train.ema_decay else None)

        def factor(step: int) -> float:
            after_plateaus = train.plateau_factor**state.n_plateaus if train.schedule == "plateau" else 1.0
            return after_plateaus * rate_factor(step, steps, train.schedule, train.warmup_steps)

        state.schedule = LambdaLR(optimizer, factor)
        return state

    @property
    def global_step(self) -> int:
        """Optimiser steps taken since the training began."""
        return int(self.schedule.last_epoch)  # PyTorch's name for the number of scheduler steps

    @property
    def validated(self) -> AnyModel:
        """The model to validate: the moving average of the weights if there is one."""
        return cast(AnyModel, self.average.module) if self.average else self.model

    def validated_within_epoch(self, valid: Validation) -> None:
        """Record a validation after the last step; keep the weights if it is the best so far."""
        if self.within is None or valid.monitored.value < self.within[0].monitored.value:
            self.within = valid, self.step
            if self.best is None or valid.monitored.value < self.best.monitored.value:
                self.best_weights = copy.deepcopy(self.validated.state_dict())

    def best_of_epoch(self, at_end: Validation) -> tuple[Validation, int | None]:
        """The best validation of the epoch, and the step after which it was made, None at the end."""
        if self.within and self.within[0].monitored.value <= at_end.monitored.value:
            return self.within
        return at_end, None

    def epoch_done(self, epoch: Epoch) -> bool:
        """Record a completed epoch. Returns whether it is the best so far."""
        self.epochs.append(epoch)
        is_best = self.best is None or epoch.monitored.value < self.best.monitored.value
        self._count_plateaus()
        for group, rate in zip(self.optimizer.param_groups, self.schedule.base_lrs, strict=True):
            group["lr"] = rate * self.schedule.lr_lambdas[0](self.global_step)
        if is_best:
            self.best = epoch
            if epoch.valid_step is None:
                self.best_weights = copy.deepcopy(self.validated.state_dict())
        self.epoch, self.step, self.remaining, self.rows = self.epoch + 1, 0, None, 0
        self.loss, self.terms, self.within = 0.0, 0, None
        return is_best

    def _count_plateaus(self) -> None:
        self.n_plateaus = n_plateaus(epoch.monitored.value for epoch in self.epochs)

    def tensors(self) -> dict[str, Tensor]:
        """Every tensor under a unique name, not copied."""
        tensors = {f"model.{name}": tensor for name, tensor in self.model.state_dict().items()}
        tensors |= {f"best.{name}": tensor for name, tensor in self.best_weights.items()}
        if self.average:
            tensors |= {f"average.{name}": tensor for name, tensor in self.average.state_dict().items()}
        for number, values in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{number}.{key}": value for key, value in values.items()}
        return tensors

    def optimizer_by_name(self) -> dict[str, Tensor]:
        """The optimiser's tensors as `parameter/key`, such as `factors.embedding.weight/sum`."""
        names = [name for name, weight in self.model.named_parameters() if weight.requires_grad]
        state = self.optimizer.state_dict()["state"]
        return {f"{names[index]}/{key}": value for index, values in state.items() for key, value in values.items()}

    def facts(self) -> dict[str, Any]:
        """Everything but the tensors, as JSON values."""
        assert not self.unread
        return {
            "epoch": self.epoch,
            "step": self.step,
            "remaining": self.remaining,
            "rows": self.rows,
            "terms": self.terms,
            "loss": self.loss.hex(),  # reads back to the same bits
            "global_step": self.global_step,
            "rates": [group["lr"].hex() for group in self.optimizer.param_groups],
            "epochs": [asdict(epoch) for epoch in self.epochs],
            "within": (asdict(self.within[0]), self.within[1]) if self.within else None,
            "best": self.best.number if self.best else None,
        }

    def restore(self, tensors: dict[str, Tensor], facts: dict[str, Any]) -> None:
        """Restore the state from the `tensors` and `facts` of a training with the same settings."""
        self.model.load_state_dict(_below("model.", tensors))
        self.best_weights = _below("best.", tensors)
        if self.average:
            self.average.load_state_dict(_below("average.", tensors))
        self._restore_optimizer(_below("optimizer.", tensors))
        self.epoch, self.step, self.rows, self.terms = (facts[name] for name in ("epoch", "step", "rows", "terms"))
        self.remaining = (
            None if facts["remaining"] is None else tuple((start, stop) for start, stop in facts["remaining"])
        )
        self.loss, self.schedule.last_epoch = float.fromhex(facts["loss"]), facts["global_step"]
        for group, rate in zip(self.optimizer.param_groups, facts["rates"], strict=True):
            group["lr"] = float.fromhex(rate)
        self.epochs = [Epoch(**epoch) for epoch in facts["epochs"]]
        self.within = (Validation(**facts["within"][0]), facts["within"][1]) if facts["within"] else None
        self._count_plateaus()
        self.best = next((epoch for epoch in self.epochs if epoch.number == facts["best"]), None)

    def _restore_optimizer(self, tensors: dict[str, Tensor]) -> None:
        whole = self.optimizer.state_dict()
        state: dict[int, dict[str, Tensor]] = {}
        for name, tensor in tensors.items():
            number, key = name.split(".", 1)
            state.setdefault(int(number), {})[key] = tensor
        self.optimizer.load_state_dict({**whole, "state": state})


def _below(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def seed_step(seed: int, epoch: int, step: int, rank: int) -> None:
    """Seed dropout for one step, independently of all earlier steps. Hashes of ints are equal in every process."""
    torch.manual_seed(hash((seed, epoch, step, rank)))
