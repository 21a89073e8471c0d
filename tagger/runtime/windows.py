"""Group a stream of sentences into windows: large enough for speed, small enough to bound memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from tagger.features.context_index import Occurrences, find_occurrences
from tagger.features.vocab import Vocabulary
from tagger.runtime.cache import CachedWords, WordCache
from tagger.text.documents import cut_document_windows
from tagger.text.sentence import Sentence

Ints = NDArray[np.int64]
Item = TypeVar("Item", Sentence, list[Sentence])


class Window(NamedTuple):
    """Sentences that the network reads together.

    Attributes:
        sentences: The S sentences.
        non_empty: Indices of the sentences that have tokens.
        lengths: Lengths of the non-empty sentences.
        words: The cached rows of the window's tokens.
        occurrences: Occurrences of the tokens in their documents; None without document context.
    """

    sentences: list[Sentence]
    non_empty: list[int]
    lengths: Ints
    words: CachedWords
    occurrences: Occurrences | None


def make_windows(
    sentences: Iterable[Sentence],
    cache: WordCache,
    vocabulary: Vocabulary | None,
    *,
    max_items: int,
    max_tokens: int,
) -> Iterator[Window]:
    """Split a stream of sentences into windows; sentences before an error are yielded first.

    A window also ends when it has ``cache.max_words`` distinct words.

    Args:
        sentences: The stream.
        cache: The word cache.
        vocabulary: Determines which words have document context; None for models without it.
        max_items: Maximum sentences per window; with document context, maximum document windows, which are
            never split.
        max_tokens: A window ends when it has this many tokens. With document context it is half of that,
            because context features take additional memory.
    """
    if vocabulary is None:
        for window in _cut(sentences, max_items, max_tokens, cache.max_words):
            tokens = list(chain.from_iterable(sentence.tokens for sentence in window))
            yield _make(window, tokens, cache, None)
        return
    for document_windows in _cut(
        cut_document_windows(sentences), max_items, max_tokens // 2, cache.max_words
    ):
        documents = [
            list(chain.from_iterable(sentence.tokens for sentence in document))
            for document in document_windows
        ]
        window = list(chain.from_iterable(document_windows))
        tokens = list(chain.from_iterable(documents))
        yield _make(window, tokens, cache, find_occurrences(documents, vocabulary))


def number_documents(sentences: Sequence[Sentence]) -> Ints:
    """Return the number (S,) of each sentence's document window.

    Args:
        sentences: S sentences, from the start of a document window.
    """
    sizes = list(map(len, cut_document_windows(sentences)))
    return np.repeat(np.arange(len(sizes)), sizes)


def _make(
    sentences: list[Sentence], tokens: list[str], cache: WordCache, occurrences: Occurrences | None
) -> Window:
    non_empty = [index for index, sentence in enumerate(sentences) if sentence.tokens]
    lengths = np.array([len(sentences[index].tokens) for index in non_empty], np.int64)
    return Window(sentences, non_empty, lengths, cache.look_up(tokens), occurrences)


def _cut(items: Iterable[Item], max_items: int, max_tokens: int, max_words: int) -> Iterator[list[Item]]:
    window: list[Item] = []
    tokens = 0
    words: set[str] = set()
    try:
        for item in items:
            window.append(item)
            for sentence in [item] if isinstance(item, Sentence) else item:
                tokens += len(sentence)
                words.update(sentence.tokens)
            if len(window) == max_items or tokens >= max_tokens or len(words) >= max_words:
                yield window
                window, tokens, words = [], 0, set()
    except Exception:
        if window:  # sentences before the error are still tagged
            yield window
        raise
    if window:
        yield window
