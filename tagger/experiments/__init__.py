"""Train a grid of models, measure the gain of the backward pass, and write a report."""
