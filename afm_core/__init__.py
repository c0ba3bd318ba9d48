"""The mathematics of attentional factorization machines and the contracts between the stages of the pipeline."""

import os

# The rows of a batch lie anywhere in a large table; pages of 2 MiB spare the processor most look-ups of where that is.
# torch reads it when it allocates for the first time; what somebody has set stays.
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
