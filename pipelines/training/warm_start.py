"""Starting a model from what another has learned."""

from afm_core.bundle import Bundle, read_bundle
from afm_core.errors import BundleError
from afm_core.features import keeps_ids
from afm_core.models import AFM, AnyModel, Shape
from afm_core.models.factors import Factors
from afm_core.settings import Settings
from pipelines.dataset import Dataset


def open_warm_start(settings: Settings, dataset: Dataset) -> AnyModel | None:
    """The model of the bundle that the settings name, None where they name none.

    Raises:
        BundleError: no whole bundle, other fields or ids than the dataset's, or embeddings of another length.
    """
    path = settings.warm_start.bundle if settings.warm_start else None
    if path is None:
        return None
    bundle = read_bundle(path)
    require_ids(bundle, dataset)
    factors = bundle.model.factors
    if not isinstance(factors, Factors) or factors.embedding.embedding_dim != settings.model.embedding_dim:
        found = factors.embedding.embedding_dim if isinstance(factors, Factors) else "none"
        raise BundleError(
            f"{path}: its {bundle.settings.model.name} has embeddings of length {found}, model.embedding_dim is "
            f"{settings.model.embedding_dim}; make them equal"
        )
    return bundle.model


def require_ids(bundle: Bundle, dataset: Dataset) -> None:
    """Raise where a dataset does not keep what a bundle's ids mean.

    Raises:
        BundleError: says how to prepare one that does.
    """
    if not keeps_ids(dataset.features_path, bundle.features_path):
        raise BundleError(
            f"{bundle.path}: its feature map {bundle.feature_map.fingerprint} is neither the dataset's "
            f"({dataset.feature_map.fingerprint}) nor one that it extends; prepare with --extend "
            f"{bundle.features_path}"
        )


def start_from(model: AnyModel, start: AnyModel, settings: Settings, shape: Shape) -> None:
    """Take over bias, linear weights and embeddings; ids that the start does not know keep what they have."""
    warm = settings.warm_start
    assert warm is not None
    assert isinstance(start.factors, Factors)
    assert isinstance(model.factors, Factors)
    model.factors.copy_from(start.factors)
    if isinstance(model, AFM) and warm.start == "sum":
        model.start_as_sum(shape.n_columns)
    if warm.freeze:
        model.factors.requires_grad_(False)
