"""The models, one file each. All take an `EncodedBatch` and give one real number a row."""

from afm_core.models.afm import AFM
from afm_core.models.batch import EncodedBatch
from afm_core.models.fm import FM
from afm_core.settings.training import Model as ModelSettings

AnyModel = FM | AFM
_REGISTRY: dict[str, type[FM] | type[AFM]] = {"fm": FM, "afm": AFM}


def build_model(settings: ModelSettings, n_ids: int) -> AnyModel:
    """The model that `settings.name` asks for, freshly initialised from torch's global generator."""
    return _REGISTRY[settings.name](settings, n_ids)


__all__ = ["AFM", "FM", "AnyModel", "EncodedBatch", "build_model"]
