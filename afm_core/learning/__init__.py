"""Losses, metrics, optimisers and predictions."""
