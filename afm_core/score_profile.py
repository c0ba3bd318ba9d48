"""How scores were distributed in training, for whoever watches them afterwards."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

_BINS = 10


def score_profile(scores: NDArray[np.float32]) -> dict[str, Any]:
    """Edges between at most ten bins of about equal share, and the rows up to each edge, above the last in the end.

    Args:
        scores: (N,) of rows that were not trained on; without any, there are no edges.
    """
    if not len(scores):
        return {"edges": [], "rows": [0]}
    edges = np.unique(np.quantile(scores, np.arange(1, _BINS) / _BINS, method="lower"))
    edges = edges[edges < scores.max()]
    rows = np.bincount(np.searchsorted(edges, scores, side="left"), minlength=len(edges) + 1)
    return {"edges": [float(edge) for edge in edges], "rows": rows.tolist()}
