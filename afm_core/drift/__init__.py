"""Drift of a night from the training: the population stability index and the baseline stored in a bundle."""
