"""From logs to a dataset: negatives, split, files, manifest."""
