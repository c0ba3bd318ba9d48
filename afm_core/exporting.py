"""Exporting a bundle's model as ONNX, for servers without torch: encoded rows in, scores out."""

import logging
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor, nn

from afm_core.bundle import Bundle
from afm_core.errors import MachineError
from afm_core.learning.calibrated_model import CalibratedModel
from afm_core.models import EncodedBatch, Shape, build_model

INPUTS, OUTPUT = ("ids", "values", "mask"), "score"


class ScoringModule(nn.Module):
    """The exported computation: (rows, F) int64 ids, float32 values x_i and bool mask to (rows,) float32 scores."""

    def __init__(self, bundle: Bundle) -> None:
        super().__init__()
        plain = bundle.settings.model.model_copy(update={"kernel": "reference", "precision": "float32"})
        model = build_model(plain, Shape.of(bundle.feature_map))
        self.calibrated_model = CalibratedModel(model, bundle.settings.train.task)
        self.calibrated_model.load_state_dict(bundle.calibrated_model.state_dict())
        self.eval()

    def forward(self, ids: Tensor, values: Tensor, mask: Tensor) -> Tensor:
        """Scores of encoded rows; `mask` is False where the id is padding (0)."""
        return self.calibrated_model.score(EncodedBatch(ids, values, mask))


def export_onnx(bundle: Bundle, path: Path) -> None:
    """Write the model, for batches of any number of rows, to `path` once it is complete.

    ONNX files hold at most 2 GB: larger weights go into `<path>.data`, which must stay beside `path`.

    Raises:
        MachineError: the packages onnx and onnxscript are not installed.
    """
    try:
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise MachineError("exporting to ONNX needs the packages onnx and onnxscript: pip install '.[onnx]'") from error
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    columns, rows = Shape.of(bundle.feature_map).n_columns, torch.export.Dim("rows")
    ids = torch.ones(2, columns, dtype=torch.int64)
    example = (ids, torch.ones(2, columns), ids.bool())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            ScoringModule(bundle),
            example,
            input_names=list(INPUTS),
            output_names=[OUTPUT],
            dynamic_shapes={name: {0: rows} for name in INPUTS},
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    path.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as folder:
        program.save(Path(folder) / path.name)
        for file in sorted(Path(folder).iterdir(), reverse=True):  # the weights' own file, if any, before the model
            file.replace(path.with_name(file.name))
