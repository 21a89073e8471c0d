"""Floor 2: from token strings to numbers, in numpy."""
