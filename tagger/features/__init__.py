"""Convert token strings to numpy arrays (layer 2)."""
