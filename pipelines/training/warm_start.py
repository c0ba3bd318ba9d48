"""Starting a model from the factors of another model."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.optim import Optimizer

from afm_core.bundle import Bundle, read_bundle
from afm_core.errors import BundleError
from afm_core.features import keeps_ids
from afm_core.models import AFM, AnyModel, Shape
from afm_core.models.factors import Factors
from afm_core.settings import Settings
from pipelines.dataset import Dataset


@dataclass(frozen=True)
class WarmStart:
    """A model to start from."""

    model: AnyModel
    optimizer: Mapping[str, Tensor]
    """The final state of its optimiser, as `parameter/key`; empty if it is not kept."""


def open_warm_start(settings: Settings, dataset: Dataset) -> WarmStart | None:
    """That of the bundle `train.warm_start.bundle`, None if there is none.

    Raises:
        BundleError: the bundle is incomplete, its fields or ids differ from the dataset's, or its embeddings have
            another length, or the state of its optimiser is to be kept and is another one's.
    """
    warm = settings.warm_start
    path = warm.bundle if warm else None
    if warm is None or path is None:
        return None
    bundle = read_bundle(path)
    require_ids(bundle, dataset)
    factors = bundle.model.factors
    if not isinstance(factors, Factors) or factors.embedding.embedding_dim != settings.model.embedding_dim:
        length = factors.embedding.embedding_dim if isinstance(factors, Factors) else "none"
        raise BundleError(
            f"{path}: its {bundle.settings.model.name} has embeddings of length {length}, model.embedding_dim is "
            f"{settings.model.embedding_dim}; make them equal"
        )
    if not warm.keep_optimizer_state:
        return WarmStart(bundle.model, {})
    if bundle.settings.train.optimizer != settings.train.optimizer:
        raise BundleError(
            f"{path}: was trained by {bundle.settings.train.optimizer}, train.optimizer is {settings.train.optimizer}; "
            "train.warm_start.keep_optimizer_state needs the same one"
        )
    return WarmStart(bundle.model, bundle.read_optimizer())


def require_ids(bundle: Bundle, dataset: Dataset) -> None:
    """Check that the ids of a bundle mean the same in a dataset.

    Raises:
        BundleError: they do not; the message says how to prepare a dataset that extends the bundle's feature map.
    """
    if not keeps_ids(dataset.features_path, bundle.features_path):
        raise BundleError(
            f"{bundle.path}: its feature map {bundle.feature_map.fingerprint} is neither the dataset's "
            f"({dataset.feature_map.fingerprint}) nor one that it extends; prepare with --extend "
            f"{bundle.features_path}"
        )


def start_from(model: AnyModel, start: AnyModel, settings: Settings, shape: Shape) -> None:
    """Copy bias, linear weights and embeddings; ids that the start model lacks keep their initial values."""
    warm = settings.warm_start
    assert warm is not None
    assert isinstance(start.factors, Factors)
    assert isinstance(model.factors, Factors)
    model.factors.copy_from(start.factors)
    if isinstance(model, AFM) and warm.start == "sum":
        model.start_as_sum(shape.n_columns)
    if warm.freeze:
        model.factors.requires_grad_(False)


@torch.no_grad()
def go_on_with(saved: Mapping[str, Tensor], optimizer: Optimizer, model: AnyModel) -> None:
    """Copy the state of a warm start's optimiser for the parameters that were copied; other ids keep their own."""
    for name, parameter in model.named_parameters():
        of_parameter = {key.rsplit("/", 1)[1]: tensor for key, tensor in saved.items() if key.startswith(f"{name}/")}
        if not of_parameter or not parameter.requires_grad or not name.startswith("factors."):
            continue
        state = optimizer.state[parameter]
        assert not state or state.keys() == of_parameter.keys(), "another optimiser"
        for key, tensor in of_parameter.items():
            ours = state.setdefault(key, torch.zeros_like(tensor if tensor.ndim == 0 else parameter))
            if tensor.ndim:
                ours[: len(tensor)] = tensor
            else:
                ours.copy_(tensor)
