"""The stages that move data, from raw logs to nightly scores."""
