"""Floor 4: tagging with a trained model, without torch."""
