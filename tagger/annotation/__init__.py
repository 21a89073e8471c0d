"""Annotate text with the help of a model: which sentences to label next, and what they cost."""
