"""Continuing from an earlier bundle of the same model, on newer logs whose feature map extends its own."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor
from torch.optim import Optimizer

from afm_core.bundle import Bundle, read_bundle
from afm_core.errors import BundleError
from afm_core.models import AnyModel
from pipelines.dataset import Dataset
from pipelines.training.warm_start import require_ids


class ParentBundle:
    """The bundle from which a training continues."""

    def __init__(self, path: Path, dataset: Dataset) -> None:
        """Read the bundle.

        Raises:
            BundleError: it is incomplete, or its fields or ids differ from the dataset's.
        """
        self._bundle: Bundle = read_bundle(path)
        require_ids(self._bundle, dataset)
        self.path, self.fingerprint = self._bundle.path, self._bundle.fingerprint
        self.settings = self._bundle.settings

    def copy_weights_to(self, model: AnyModel) -> None:
        """Copy every parameter; new ids keep their initial values.

        Raises:
            BundleError: the models differ in more than the number of ids.
        """
        self._copy(self._bundle.model.state_dict(), model.state_dict())

    def copy_optimizer_to(self, optimizer: Optimizer, model: AnyModel) -> None:
        """Copy the state of the optimiser; new ids keep its initial state.

        Raises:
            BundleError: it was another optimiser, or the bundle was written by a version that did not save its state.
        """
        saved = self._bundle.read_optimizer()
        for name, parameter in model.named_parameters():
            if not parameter.requires_grad:
                continue
            copied = {key.rsplit("/", 1)[1]: tensor for key, tensor in saved.items() if key.rsplit("/", 1)[0] == name}
            state = optimizer.state[parameter]
            if state and state.keys() != copied.keys():
                raise self._differs(f"its optimiser has {', '.join(copied) or 'nothing'}, ours {', '.join(state)}")
            for key, tensor in copied.items():
                state.setdefault(key, torch.zeros(()) if tensor.ndim == 0 else torch.zeros_like(parameter))
            self._copy(copied, state)

    @torch.no_grad()
    def _copy(self, theirs: Mapping[str, Tensor], ours: Mapping[str, Tensor]) -> None:
        if theirs.keys() != ours.keys():
            raise self._differs(f"only one of the models has {', '.join(sorted(theirs.keys() ^ ours.keys()))}")
        for name, old in theirs.items():
            new = ours[name]
            if new.shape[1:] != old.shape[1:] or len(new.shape) != len(old.shape) or new.numel() < old.numel():
                raise self._differs(
                    f"{name} is {tuple(old.shape)} in the bundle and {tuple(new.shape)} in this training"
                )
            if new.ndim:
                new[: len(old)] = old
            else:
                new.copy_(old)

    def _differs(self, how: str) -> BundleError:
        return BundleError(
            f"{self._bundle.path}: not the same model: {how}; set model and train.optimizer to those of the bundle"
        )
