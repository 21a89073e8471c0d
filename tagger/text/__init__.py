"""Sentences, tag schemes and the tokenizer (layer 1). No third-party imports."""
