"""The model card of a bundle, as Markdown."""

from afm_core.settings import Settings
from pipelines.dataset import Manifest
from pipelines.training.fitted import Best


def model_card(settings: Settings, manifest: Manifest, best: Best, ranks: int) -> str:
    """Data, settings and validation result of one trained model."""
    model, train = settings.model, settings.train
    warm = settings.warm_start
    start = f"warm-started from {warm.bundle or warm.model}, {warm.start}" if warm else "from random embeddings"
    how = f"{train.optimizer}, learning rate {train.learning_rate}, {train.batch_size} rows per step, {ranks} rank(s)"
    which = (
        f"the best epoch ({best.epoch}) of those trained" if best.epoch else "what it started from: no epoch was better"
    )
    if train.fit == "gibbs":
        which = "the mean of the draws"
    return f"""# {model.name} on {manifest.name}

- Model: {model.name}, k = {model.embedding_dim}, t = {model.attention_dim}, {start}.
- Data: {manifest.instances:,} instances of {manifest.positives:,} positive events, {manifest.features:,} features in
  {", ".join(settings.field_names)}; feature map {manifest.feature_map}, dataset digest {manifest.digest}.
- Training: {how if train.fit == "gradient" else f"{train.sweeps} sweeps of Gibbs sampling"},
  seed {settings.seed}; pooled dropout {model.pooled_dropout}, attention dropout {model.attention_dropout},
  L2 on W {model.attention_l2}.
- Validation {best.metric} {best.valid:.4f}, {which}, on rows that were not
  trained on; task {train.task}.
"""
