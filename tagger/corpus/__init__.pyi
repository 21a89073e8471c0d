from tagger.corpus.hub import to_dataset as to_dataset
from tagger.corpus.loading import read_corpus as read_corpus
from tagger.corpus.loading import write_corpus as write_corpus

__all__ = ["read_corpus", "to_dataset", "write_corpus"]
