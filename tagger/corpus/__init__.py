"""Layer 3: readers and writers of corpus files. Readers stream ``Sentence`` objects."""

from importlib import import_module

_MODULES = {
    "read_corpus": "tagger.corpus.loading",
    "to_dataset": "tagger.corpus.hub",
    "write_corpus": "tagger.corpus.loading",
}
__all__ = ["read_corpus", "to_dataset", "write_corpus"]


def __getattr__(name: str) -> object:  # imported on first access, as in `tagger`
    if name not in __all__:
        raise AttributeError(f"module 'tagger.corpus' has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)
