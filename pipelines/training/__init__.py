"""From batches to a bundle, on any number of ranks."""
