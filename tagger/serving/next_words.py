"""Tag every prefix of a sentence: how the tags of its words change as the next words become known."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

from tagger.errors import InputError
from tagger.runtime.tagger import Tagger
from tagger.text.sentence import Sentence, from_tokens, sentence_values

MOST_CHARACTERS = 10_000
MOST_WORDS = 150  # of one sentence
MOST_PREFIX_WORDS = 20_000  # words of all prefixes: one sentence of n words has n (n + 1) / 2
DIGITS = 4
FIELDS = ("text", "start", "tokens")


def split_sentences(tagger: Tagger, text: str) -> list[Sentence]:
    """Split a text into sentences that are short enough to tag all their prefixes.

    Args:
        tagger: The model, whose tokenizer splits the text.
        text: The text.

    Raises:
        InputError: The text, a sentence or all prefixes together are too long.
    """
    _require_size(len(text), MOST_CHARACTERS, "the text has too many characters")
    sentences = [sentence for sentence in tagger.tokenizer(text) if sentence.tokens]
    _require_size(max(map(len, sentences), default=0), MOST_WORDS, "a sentence has too many words")
    words = sum(len(sentence) * (len(sentence) + 1) // 2 for sentence in sentences)
    _require_size(words, MOST_PREFIX_WORDS, "the prefixes of all sentences have too many words")
    return sentences


def make_prefixes(sentences: Iterable[Sentence]) -> Iterator[Sentence]:
    """Yield the first 1, 2, … T tokens of each sentence, each as a document of its own.

    Nothing to the right of a prefix can influence its tags: neither the sentence's other words nor, in models
    with document context, the other sentences.
    """
    for sentence in sentences:
        for end in range(1, len(sentence) + 1):
            yield from_tokens(sentence.tokens[:end], starts_document=True)


def prefix_values(sentences: Sequence[Sentence], tagged: Iterable[Sentence]) -> list[dict[str, Any]]:
    """Collect the tagged prefixes of each sentence as JSON values.

    Word ``i`` with ``k`` next words known has the tag at index ``i`` of the prefix of ``i + 1 + k`` words, or
    of the whole sentence if that is shorter.

    Args:
        sentences: The result of ``split_sentences``.
        tagged: The sentences of ``make_prefixes``, tagged with the probability of each tag.

    Returns:
        For each sentence its ``text`` and ``start``, its ``tokens`` as ``tagger tag --format jsonl`` writes
        them, and its ``prefixes``: for each task the ``tags`` and their probabilities, ``scores``.
    """
    remaining = iter(tagged)
    return [
        {
            **{name: value for name, value in sentence_values(sentence, ()).items() if name in FIELDS},
            "prefixes": [
                {
                    "tags": {task: list(tags) for task, tags in prefix.tags.items()},
                    "scores": {
                        task: [round(score, DIGITS) for score in scores]
                        for task, scores in prefix.tag_scores.items()
                    },
                }
                for prefix in islice(remaining, len(sentence))
            ],
        }
        for sentence in sentences
    ]


def _require_size(size: int, most: int, problem: str) -> None:
    if size > most:
        raise InputError(
            f"{problem} to tag each prefix (got {size}, at most {most}). Shorten the text.",
            code="input.size",
            where="text",
        )
