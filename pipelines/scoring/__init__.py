"""From a night of logs and a bundle to scores."""
