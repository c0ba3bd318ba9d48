"""Evaluating bundles on rows that they were not trained on, and promoting them."""
