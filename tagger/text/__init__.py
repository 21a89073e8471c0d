"""Floor 1: sentences, tag schemes and the tokenizer. No third-party imports."""
