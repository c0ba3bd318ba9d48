"""Scores of raw rows without Spark: tables in memory, encoded as Spark encodes the logs of a night.

What Spark's expressions do in `pipelines.logs` and `pipelines.encoding` is done here with pyarrow and numpy.
`tests/end_to_end/test_predictor.py` compares the two bit for bit.
"""

from afm_core.prediction.predictor import Predictor

__all__ = ["Predictor"]
