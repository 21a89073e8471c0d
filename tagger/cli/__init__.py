"""Command-line interface. Each command parses its options and calls functions of lower layers."""
