"""A bundle as ONNX gives the scores that torch gives."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from afm_core.bundle import Bundle, read_bundle
from afm_core.exporting import INPUTS, OUTPUT, export_onnx
from afm_core.learning.calibrated_model import CalibratedModel
from afm_core.models import REGISTRY, EncodedBatch, Shape, build_model
from tests.support.jobs import RunJob
from tests.support.small import Small


def scores_of(file: Path, batch: EncodedBatch) -> np.ndarray:
    session = onnxruntime.InferenceSession(file)
    inputs = {name: tensor.numpy() for name, tensor in zip(INPUTS, batch, strict=True)}
    return session.run([OUTPUT], inputs)[0]


def rows(bundle: Bundle, n: int) -> EncodedBatch:
    n_ids, columns = Shape.of(bundle.feature_map)
    torch.manual_seed(n)
    ids = torch.randint(0, n_ids, (n, columns))
    return EncodedBatch(ids, torch.rand(n, columns), ids != 0)


def test_the_job_writes_what_onnxruntime_scores_alike(small: Small, tmp_path: Path, run_job: RunJob) -> None:
    file = tmp_path / "served" / "model.onnx"
    outcome = run_job("export", small.config, "--out", str(file))
    assert outcome.code == 0, outcome.err
    assert "ids, values, mask: (rows, 5) int64, float32, bool" in outcome.out
    bundle = read_bundle(small.settings.run.bundle)
    for n in (1, 2, 1000):
        batch = rows(bundle, n)
        np.testing.assert_allclose(
            scores_of(file, batch), bundle.calibrated_model.score(batch).detach().numpy(), atol=1e-6
        )


@pytest.mark.parametrize("name", REGISTRY)
def test_every_model_is_exported(small: Small, tmp_path: Path, name: str) -> None:
    bundle = read_bundle(small.settings.run.bundle)
    model = bundle.settings.model.model_copy(update={"name": name, "layers": (8, 4), "pair_buckets": 100})
    train = bundle.settings.train.model_copy(update={"task": "classification"})
    settings = bundle.settings.model_copy(update={"model": model, "train": train})
    calibrated = CalibratedModel(build_model(model, Shape.of(bundle.feature_map)), "classification")
    torch.manual_seed(1)
    for weight in calibrated.parameters():
        torch.nn.init.normal_(weight, std=0.3)
    calibrated.calibrate(0.8, -0.1)
    export_onnx(replace(bundle, calibrated_model=calibrated, settings=settings), tmp_path / "model.onnx")
    batch = rows(bundle, 50)
    scores = scores_of(tmp_path / "model.onnx", batch)
    assert scores.std() > 0.01
    np.testing.assert_allclose(scores, calibrated.eval().score(batch).detach().numpy(), atol=1e-6)
