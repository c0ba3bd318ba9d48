"""Encoded batches."""

import pytest
import torch

from afm_core.kernels import triton
from afm_core.models.afm import AFM
from afm_core.models.batch import EncodedBatch
from afm_core.models.shape import Shape
from afm_core.settings.model import ModelSettings


def test_all_of_a_batch_is_on_the_device_of_its_ids() -> None:
    batch = EncodedBatch.of_ids(torch.empty(4, 3, dtype=torch.int64, device="meta"))
    assert batch.values.device == batch.mask.device == batch.ids.device


def test_the_description_of_the_kernel_is_that_of_the_device_it_will_run_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(triton, "available", lambda: True)
    settings = ModelSettings(name="afm", embedding_dim=16, attention_dim=16, precision="bfloat16")
    model = AFM(settings, Shape(100, 10))
    assert model.describe_kernel(10, torch.device("cuda")) == "Triton, bfloat16"
    assert "Triton" not in model.describe_kernel(10, torch.device("cpu"))
