"""Layer 2: readers and writers of corpus files. Readers stream ``Sentence`` objects."""

from importlib import import_module

__all__ = ["read_corpus", "write_corpus"]


def __getattr__(name: str) -> object:  # imported on first access, as in `tagger`
    if name not in __all__:
        raise AttributeError(f"module 'tagger.corpus' has no attribute {name!r}")
    return getattr(import_module("tagger.corpus.loading"), name)
