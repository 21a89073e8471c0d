"""Tagging with a trained model, without torch."""
