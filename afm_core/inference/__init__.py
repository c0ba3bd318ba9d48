"""Scoring any number of rows, explaining scores, and finding the best items."""
