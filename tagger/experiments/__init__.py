"""Layer 6: train a grid of models, measure what the backward pass adds, and write a report about it."""
