"""Sentences that the network reads together: so many that it is quick, so few that memory is bounded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from tagger.features.mentions import Mentions, find_mentions
from tagger.features.vocab import Vocabulary
from tagger.runtime.cache import FoundWords, WordCache
from tagger.text.documents import cut_stretches
from tagger.text.sentence import Sentence

Ints = NDArray[np.int64]
Item = TypeVar("Item", Sentence, list[Sentence])


class Window(NamedTuple):
    """Sentences that the network reads together.

    Attributes:
        sentences: All of them.
        filled: Places of those that have a token.
        lengths: Tokens of each of these.
        words: What is kept of words, and which of them each token is.
        mentions: Of the tokens in their documents; None where sentences stand alone.
    """

    sentences: list[Sentence]
    filled: list[int]
    lengths: Ints
    words: FoundWords
    mentions: Mentions | None


def make_windows(
    sentences: Iterable[Sentence],
    cache: WordCache,
    vocabulary: Vocabulary | None,
    *,
    most_items: int,
    most_tokens: int,
) -> Iterator[Window]:
    """Cut a stream of sentences into windows; what comes before an error in it is given out first.

    Args:
        sentences: The stream.
        cache: Knows what the network makes of words.
        vocabulary: Tells which words' mentions count, or None for sentences that stand alone.
        most_items: Sentences of a window, or stretches of documents, which are never cut.
        most_tokens: A window ends once it has so many tokens. Where documents count it has half of them,
            since tokens with other mentions take more room. It also ends once it has ``cache.most_words``
            distinct words.
    """
    if vocabulary is None:
        for window in _cut(sentences, most_items, most_tokens, cache.most_words):
            tokens = list(chain.from_iterable(one.tokens for one in window))
            yield _make(window, tokens, cache, None)
        return
    for stretches in _cut(cut_stretches(sentences), most_items, most_tokens // 2, cache.most_words):
        documents = [list(chain.from_iterable(one.tokens for one in each)) for each in stretches]
        sentences_of_all = list(chain.from_iterable(stretches))
        tokens = list(chain.from_iterable(documents))
        yield _make(sentences_of_all, tokens, cache, find_mentions(documents, vocabulary))


def _make(
    sentences: list[Sentence], tokens: list[str], cache: WordCache, mentions: Mentions | None
) -> Window:
    filled = [place for place, sentence in enumerate(sentences) if sentence.tokens]
    lengths = np.array([len(sentences[place].tokens) for place in filled], np.int64)
    return Window(sentences, filled, lengths, cache.look_up(tokens), mentions)


def _cut(items: Iterable[Item], most_items: int, most_tokens: int, most_words: int) -> Iterator[list[Item]]:
    window: list[Item] = []
    tokens = 0
    words: set[str] = set()
    try:
        for item in items:
            window.append(item)
            for sentence in [item] if isinstance(item, Sentence) else item:
                tokens += len(sentence)
                words.update(sentence.tokens)
            if len(window) == most_items or tokens >= most_tokens or len(words) >= most_words:
                yield window
                window, tokens, words = [], 0, set()
    except Exception:
        if window:  # what came before the error is tagged all the same
            yield window
        raise
    if window:
        yield window
