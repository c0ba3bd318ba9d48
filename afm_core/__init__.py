"""The mathematics of attentional factorization machines and the contracts between the stages of the pipeline."""
