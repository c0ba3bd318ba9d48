"""From a model's output to the score that people get. Training's validation, evaluation and scoring all come here."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from afm_core.labels import NEGATIVE, POSITIVE
from afm_core.models import AnyModel, EncodedBatch

_SCORING_ROWS = 1024  # rows at a time: 45 pairs x 256 floats of 1,024 rows are 47 MB


@torch.inference_mode()
def predict(model: AnyModel, batch: EncodedBatch) -> Tensor:
    """Scores of a batch, (B,) float32, clipped to the label range as the paper's evaluation does (section 4.1)."""
    output: Tensor = model(batch)
    return output.clamp(NEGATIVE, POSITIVE)


def predict_columns(
    model: AnyModel, ids: NDArray[np.int32], x: NDArray[np.float32], x_of_slots: tuple[int, ...]
) -> NDArray[np.float32]:
    """Scores of any number of rows, ids (N, F) and x (N, X) to (N,) float32, in pieces that bound memory."""
    model.eval()
    scores = np.empty(len(ids), dtype=np.float32)
    for start in range(0, len(ids), _SCORING_ROWS):
        rows = slice(start, start + _SCORING_ROWS)
        piece = EncodedBatch.of_columns(
            torch.from_numpy(ids[rows].astype(np.int64)), torch.from_numpy(x[rows]), x_of_slots
        )
        scores[rows] = predict(model, piece).numpy()
    return scores


def to_probability(score: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """P(positive) of a squared-error score with labels -1 and 1: E[label | x] = 2 P - 1."""
    return (np.asarray(score, dtype=np.float64) - NEGATIVE) / (POSITIVE - NEGATIVE)
