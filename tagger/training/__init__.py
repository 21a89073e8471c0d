"""Floor 4: finding the weights."""
