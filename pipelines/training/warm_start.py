"""Starting a model from the factors of another model."""

from afm_core.bundle import Bundle, read_bundle
from afm_core.errors import BundleError
from afm_core.features import keeps_ids
from afm_core.models import AFM, AnyModel, Shape
from afm_core.models.factors import Factors
from afm_core.settings import Settings
from pipelines.dataset import Dataset


def open_warm_start(settings: Settings, dataset: Dataset) -> AnyModel | None:
    """The model of the bundle `train.warm_start.bundle`, None if there is none.

    Raises:
        BundleError: the bundle is incomplete, its fields or ids differ from the dataset's, or its embeddings have
            another length.
    """
    path = settings.warm_start.bundle if settings.warm_start else None
    if path is None:
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
    return bundle.model


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
