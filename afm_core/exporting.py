"""A bundle's model as ONNX, for servers without torch: encoded rows in, scores out."""

import logging
import warnings
from pathlib import Path

import torch
from torch import Tensor, nn

from afm_core.bundle import Bundle
from afm_core.errors import MachineError
from afm_core.learning.prediction import Predictor
from afm_core.models import EncodedBatch, Shape, build_model

INPUTS, OUTPUT = ("ids", "values", "mask"), "score"


class Scoring(nn.Module):
    """What is exported: (rows, F) int64 ids, float32 values x_i and bool mask to (rows,) float32 scores."""

    def __init__(self, bundle: Bundle) -> None:
        super().__init__()
        plain = bundle.settings.model.model_copy(update={"kernel": "reference", "precision": "float32"})
        model = build_model(plain, Shape.of(bundle.feature_map))
        self.predictor = Predictor(model, bundle.settings.train.task)
        self.predictor.load_state_dict(bundle.predictor.state_dict())
        self.eval()

    def forward(self, ids: Tensor, values: Tensor, mask: Tensor) -> Tensor:
        """Scores of encoded rows; `mask` is False where the id is padding, 0."""
        return self.predictor.score(EncodedBatch(ids, values, mask))


def export_onnx(bundle: Bundle, path: Path) -> None:
    """Write the model with any number of rows; weights beyond 2 GB go into a file beside it.

    Raises:
        MachineError: the packages onnx and onnxscript are not installed.
    """
    try:
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise MachineError("exporting needs the packages onnx and onnxscript: pip install '.[onnx]'") from error
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    columns, rows = Shape.of(bundle.feature_map).n_columns, torch.export.Dim("rows")
    ids = torch.ones(2, columns, dtype=torch.int64)
    example = (ids, torch.ones(2, columns), ids.bool())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            Scoring(bundle),
            example,
            input_names=list(INPUTS),
            output_names=[OUTPUT],
            dynamic_shapes={name: {0: rows} for name in INPUTS},
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}")
    program.save(unfinished)
    unfinished.rename(path)
