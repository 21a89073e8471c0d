"""Layer 9: the HTTP server of ``tagger serve``; needs the extra ``serve``."""
