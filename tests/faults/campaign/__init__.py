"""Random faults of every kind on a range of nights and on a training, each followed by one rerun."""
