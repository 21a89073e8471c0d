"""Training: encoded splits, the training loop, runs and checkpoints (layer 4)."""
