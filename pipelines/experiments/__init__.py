"""Comparing models and searching for better settings."""
