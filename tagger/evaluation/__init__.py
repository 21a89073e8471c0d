"""Evaluate predicted tags against gold tags (layer 2)."""
