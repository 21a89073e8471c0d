"""Floor 6: what the backward pass adds: a grid of trainings, what they show, and one page about it."""
