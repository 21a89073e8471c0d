"""HTML pages and pictures of results, each in a single self-contained file."""
