"""Losses, tasks, metrics, optimisers, the learning-rate schedule and calibration."""
