"""Sequence labelling with a BiLSTM-CRF: train on a CoNLL file, tag raw text, measure the right context."""

from tagger.errors import InputError
from tagger.runtime.stream import StreamingTagger
from tagger.runtime.tagger import Tagger
from tagger.text.sentence import Sentence, Span

__all__ = ["InputError", "Sentence", "Span", "StreamingTagger", "Tagger"]
__version__ = "0.1.0"
