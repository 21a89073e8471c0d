"""Floor 2: what predicted tags are worth against gold tags."""
