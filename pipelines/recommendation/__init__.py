"""The best items for each user of a night."""
