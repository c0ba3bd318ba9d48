"""Several models on one dataset, side by side."""
