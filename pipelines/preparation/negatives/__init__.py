"""The negative sampler: candidates, exact draws, and the rows made from them."""
