"""Tag many texts as one stream of sentences, and group the result by text."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain, islice

from tagger.runtime.arguments import checked_sentences, require_text
from tagger.text.sentence import Sentence

TextTokenizer = Callable[[str], Sequence[Sentence]]
BATCH_SIZE = 1000  # texts to read ahead


def tokenize(tokenizer: TextTokenizer, text: object, name: str) -> list[Sentence]:
    """Split a text into sentences, the first of which starts a document.

    Args:
        tokenizer: The tokenizer, which may be a user's function.
        text: The text.
        name: The name of the text for messages.

    Raises:
        TypeError: The text is not a string, or the tokenizer returns something other than sentences.
        InputError: A sentence has more or fewer offsets than tokens.
    """
    sentences = list(checked_sentences(tokenizer(require_text(text, name)), "tokenizer(text)"))
    if sentences and not sentences[0].starts_document:
        sentences[0] = replace(sentences[0], starts_document=True)
    return sentences


def tag_documents(
    texts: Iterable[str],
    tokenizer: TextTokenizer,
    tag: Callable[[Iterable[Sentence]], Iterator[Sentence]],
    batch_size: int,
) -> Iterator[list[Sentence]]:
    """Yield the tagged sentences of each text, in order (see ``Tagger.pipe``).

    Args:
        texts: The documents.
        tokenizer: Splits a text into sentences.
        tag: Tags a stream of sentences. If the stream raises an error, it yields the sentences before it.
        batch_size: Maximum number of texts in one stream.
    """
    numbered = enumerate(texts)
    for first in numbered:
        counts: deque[int] = deque()  # the number of sentences of each text that is not yet yielded
        batch = chain([first], islice(numbered, batch_size - 1))
        tagged = tag(_tokenize_all(batch, tokenizer, counts))
        yield from _group(tagged, counts)


def _tokenize_all(
    texts: Iterable[tuple[int, str]], tokenizer: TextTokenizer, counts: deque[int]
) -> Iterator[Sentence]:
    for number, text in texts:
        sentences = tokenize(tokenizer, text, f"texts[{number}]")
        counts.append(len(sentences))
        yield from sentences


def _group(sentences: Iterator[Sentence], counts: deque[int]) -> Iterator[list[Sentence]]:
    """Yield the sentences of each text; ``counts`` grows while the sentences are read."""
    group: list[Sentence] = []
    failure: Exception | None = None
    try:
        for sentence in sentences:
            while len(group) == counts[0]:
                counts.popleft()
                yield group
                group = []
            group.append(sentence)
    except Exception as error:  # raised after the texts before it
        failure = error
    while counts and len(group) == counts[0]:
        counts.popleft()
        yield group
        group = []
    if failure:
        raise failure
