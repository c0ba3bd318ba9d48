"""Scores of any rows, and what they are made of: scorer, pair tables, explanations, top items."""
