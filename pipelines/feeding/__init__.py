"""From a dataset to batches: shard plan and Petastorm."""
