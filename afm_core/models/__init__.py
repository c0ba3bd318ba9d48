"""The models, one per file. Each maps an `EncodedBatch` to one real number per row."""

import torch
from torch import nn

from afm_core.models.afm import AFM, n_pairs
from afm_core.models.batch import EncodedBatch
from afm_core.models.dcn_v2 import DCNv2
from afm_core.models.deep_afm import DeepAFM
from afm_core.models.deep_cross import DeepCross
from afm_core.models.deepfm import DeepFM
from afm_core.models.ffm import FFM
from afm_core.models.fm import FM
from afm_core.models.hofm import HOFM
from afm_core.models.linear import Linear
from afm_core.models.nfm import NFM
from afm_core.models.poly2 import Poly2
from afm_core.models.shape import Shape
from afm_core.models.wide_deep import WideDeep
from afm_core.settings.model import ModelSettings

AnyModel = Linear | Poly2 | FM | HOFM | FFM | AFM | DeepAFM | WideDeep | DeepCross | NFM | DeepFM | DCNv2
REGISTRY: dict[str, type[AnyModel]] = {
    "linear": Linear,
    "poly2": Poly2,
    "fm": FM,
    "hofm": HOFM,
    "ffm": FFM,
    "afm": AFM,
    "deep_afm": DeepAFM,
    "wide_deep": WideDeep,
    "deep_cross": DeepCross,
    "nfm": NFM,
    "deepfm": DeepFM,
    "dcn_v2": DCNv2,
}


def build_model(settings: ModelSettings, shape: Shape) -> AnyModel:
    """The model named by `settings.name`, initialised from torch's global random generator."""
    return REGISTRY[settings.name](settings, shape)


@torch.no_grad()
def add_penalty_gradient(model: nn.Module, settings: ModelSettings, ranks: int = 1) -> None:
    """Add to W's gradient that of the paper's L2 regularisation, lambda |W|^2 (section 3.2).

    A W without a gradient stays as it is: the output of a model without attention does not depend on it.

    Args:
        ranks: whose gradients will be summed; each adds its share.
    """
    if isinstance(model, AFM) and settings.attention_l2 and model.W.grad is not None:
        model.W.grad.add_(model.W, alpha=2.0 * settings.attention_l2 / ranks)


def n_parameters(model: nn.Module) -> int:
    """Number of trainable parameters."""
    return sum(parameter.numel() for parameter in model.parameters())


__all__ = [
    "AFM",
    "FM",
    "REGISTRY",
    "AnyModel",
    "EncodedBatch",
    "Shape",
    "add_penalty_gradient",
    "build_model",
    "n_pairs",
    "n_parameters",
]
