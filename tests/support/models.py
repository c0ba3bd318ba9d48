"""Random models and batches in float64."""

from typing import Any

import torch

from afm_core.models import EncodedBatch, Shape, build_model
from afm_core.settings.model import ModelSettings

N_IDS = 23


def random_batch(rows: int, fields: int, seed: int, masked: float = 0.3) -> EncodedBatch:
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(1, N_IDS, (rows, fields), generator=generator)
    ids[torch.rand(rows, fields, generator=generator) < masked] = 0
    return EncodedBatch(ids, torch.randn(rows, fields, generator=generator).double(), ids != 0)


def random_model(name: str, k: int, t: int, seed: int = 0, columns: int = 5, **options: Any) -> Any:
    torch.manual_seed(seed)
    small = {"layers": [6, 3], "cross_layers": 2, "pair_buckets": 11}
    settings = ModelSettings.model_validate({"name": name, "embedding_dim": k, "attention_dim": t, **small, **options})
    model = build_model(settings, Shape(N_IDS, columns)).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn_like(parameter))
        for module in model.modules():
            if isinstance(module, torch.nn.Embedding) and module.num_embeddings == N_IDS:
                module.weight[0] = 0.0
    return model.eval()
