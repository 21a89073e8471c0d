"""Evaluate predicted tags against gold tags."""
