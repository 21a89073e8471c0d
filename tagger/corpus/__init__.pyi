from tagger.corpus.loading import read_corpus as read_corpus
from tagger.corpus.loading import write_corpus as write_corpus

__all__ = ["read_corpus", "write_corpus"]
