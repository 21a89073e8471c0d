"""Floor 2: from emissions to tags and probabilities. numpy only."""
