"""Decode emissions into tags and probabilities (layer 2). numpy only."""
