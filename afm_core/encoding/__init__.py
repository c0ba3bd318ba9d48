"""Looking up what values are encoded with, as Spark's Python workers and the predictor do."""
