"""Going on from an earlier bundle of the same model, on newer logs whose feature map keeps its ids."""

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
    """A bundle to go on from."""

    def __init__(self, path: Path, dataset: Dataset) -> None:
        """Read it.

        Raises:
            BundleError: no whole bundle, or of other fields or ids than the dataset's.
        """
        self._bundle: Bundle = read_bundle(path)
        require_ids(self._bundle, dataset)
        self.fingerprint = self._bundle.fingerprint

    def give_weights(self, model: AnyModel) -> None:
        """Take over every parameter; ids that it does not know keep what they have.

        Raises:
            BundleError: the models differ in more than the number of ids.
        """
        self._copy(self._bundle.model.state_dict(), model.state_dict())

    def give_optimizer(self, optimizer: Optimizer, model: AnyModel) -> None:
        """Take over what the optimiser knew of every parameter; new ids keep its start.

        Raises:
            BundleError: it was another optimiser, or the bundle is of a version that did not keep it.
        """
        theirs = self._bundle.read_optimizer()
        for name, parameter in model.named_parameters():
            if not parameter.requires_grad:
                continue
            found = {key.rsplit("/", 1)[1]: tensor for key, tensor in theirs.items() if key.rsplit("/", 1)[0] == name}
            state = optimizer.state[parameter]
            if state and state.keys() != found.keys():
                raise self._differs(f"its optimiser has {', '.join(found) or 'nothing'}, ours {', '.join(state)}")
            for key, tensor in found.items():
                state.setdefault(key, torch.zeros(()) if tensor.ndim == 0 else torch.zeros_like(parameter))
            self._copy(found, state)

    @torch.no_grad()
    def _copy(self, theirs: Mapping[str, Tensor], ours: Mapping[str, Tensor]) -> None:
        if theirs.keys() != ours.keys():
            raise self._differs(f"only one of the models has {', '.join(sorted(theirs.keys() ^ ours.keys()))}")
        for name, old in theirs.items():
            new = ours[name]
            if new.shape[1:] != old.shape[1:] or len(new.shape) != len(old.shape) or new.numel() < old.numel():
                raise self._differs(f"{name} is {tuple(old.shape)} there and {tuple(new.shape)} here")
            if new.ndim:
                new[: len(old)] = old
            else:
                new.copy_(old)

    def _differs(self, how: str) -> BundleError:
        return BundleError(f"{self._bundle.path}: not the same model: {how}; make model and train.optimizer as there")
