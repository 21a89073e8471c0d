"""Checks of the Python API's arguments: each error names the argument, the sentence and the token."""

from __future__ import annotations

import math
import operator
import reprlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence, Set
from numbers import Real

from tagger.errors import InputError
from tagger.runtime.annotation import Request
from tagger.text.sentence import Sentence, from_tokens

MinScore = float | Mapping[str, float]
"""A score threshold for all spans, or one for each label; labels without one have 0."""
LEAST_CANDIDATE = (
    0.001  # threshold of candidate spans: bounds their number by 1000 for each token they end at
)
MOST_ALTERNATIVES = 1000  # tag sequences of a sentence that may be requested
_ONE_STRING = "Pass a list of tokens, or raw text to Tagger.tag."


def describe(value: object) -> str:
    """Describe a value in an error: its type, and the value itself if it is short."""
    if value is None:
        return "None"
    kind = type(value).__name__
    return f"{kind} {reprlib.repr(value)}" if isinstance(value, str | bytes | int | float) else kind


def require_integer(value: object, name: str, *, least: int, hint: str, most: int | None = None) -> int:
    """Return an integer argument as an int.

    Args:
        value: The argument; numpy's integers are integers, booleans are not.
        name: Its name.
        least: Its least value.
        hint: What to pass, a sentence that ends the message.
        most: Its greatest value, if it has one.

    Raises:
        TypeError: It is not an integer.
        InputError: It is out of bounds.
    """
    try:
        if isinstance(value, bool):
            raise TypeError
        number = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        raise TypeError(f"{name} must be an int (got {describe(value)}). {hint}") from None
    if number < least or (most is not None and number > most):
        bounds = f"at least {least}" if most is None else f"from {least} to {most}"
        raise InputError(f"{name} must be {bounds} (got {number}). {hint}")
    return number


def require_number(value: object, name: str, *, least: float, most: float, hint: str) -> float:
    """Return a number as a float.

    Args:
        value: The argument; booleans and NaN are not numbers.
        name: Its name.
        least: Its least value.
        most: Its greatest value.
        hint: What to pass, a sentence that ends the message.

    Raises:
        TypeError: It is not a real number.
        InputError: It is out of bounds, or NaN.
    """
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name} must be a number (got {describe(value)}). {hint}")
    number = float(value)
    if math.isnan(number) or not least <= number <= most:
        raise InputError(f"{name} must be from {least:g} to {most:g} (got {number:g}). {hint}")
    return number


def require_probability(value: object, name: str) -> float:
    """Return a score threshold.

    Raises:
        TypeError: It is not a number.
        InputError: It is below 0, above 1, or NaN.
    """
    return require_number(value, name, least=0, most=1, hint="Use a probability; 0 leaves nothing out.")


def require_min_score(min_score: object, labels: Collection[str]) -> dict[str, float]:
    """Return the score threshold of each label that has one above 0.

    Args:
        min_score: A number for all labels, or a mapping from labels to numbers.
        labels: The labels that there are.

    Raises:
        TypeError: It is neither a number nor a mapping from labels to numbers.
        InputError: A number is no probability, or there is no such label.
    """
    if not isinstance(min_score, Mapping):
        score = require_probability(min_score, "min_score")
        return dict.fromkeys(labels, score) if score else {}
    for label in min_score:
        require_label(label, labels, "min_score")
    return {label: require_probability(score, f"min_score[{label!r}]") for label, score in min_score.items()}


def require_label(label: object, labels: Collection[str], where: str) -> None:
    """Refuse a label that no span of the model has.

    Raises:
        InputError: There is no such label; the message lists those that there are.
    """
    if label not in labels:
        known = f"Its labels are {', '.join(sorted(labels))}." if labels else "None of its tasks has spans."
        raise InputError(f"{where}: the model has no label {label!r}. {known}")


def require_candidates(threshold: object, name: str = "candidates") -> float:
    """Return the threshold of candidate spans, 0 for none.

    Raises:
        TypeError: It is not a number.
        InputError: It is neither 0 nor a probability of at least ``LEAST_CANDIDATE``.
    """
    hint = f"Use a probability of at least {LEAST_CANDIDATE:g}, or 0 for no candidates."
    score = require_number(threshold, name, least=0, most=1, hint=hint)
    if 0 < score < LEAST_CANDIDATE:
        raise InputError(f"{name} must be at least {LEAST_CANDIDATE:g} (got {score:g}). {hint}")
    return score


def make_request(
    n_best: object, scores: object, min_score: object, candidates: object, labels: Collection[str]
) -> Request:
    """Return what is computed for each sentence; the arguments are those of ``Tagger.tag_sentences``.

    Args:
        n_best: Alternatives of each sentence.
        scores: True if each tag gets its probability.
        min_score: A score threshold, or one for each label.
        candidates: The threshold of candidate spans.
        labels: The labels of the model's spans.

    Raises:
        TypeError: An argument has a wrong type.
        InputError: A number is out of bounds, or ``min_score`` has an unknown label.
    """
    hint = "Pass 0 for no alternatives."
    return Request(
        require_integer(n_best, "n_best", least=0, most=MOST_ALTERNATIVES, hint=hint),
        bool(scores),
        require_min_score(min_score, labels),
        require_candidates(candidates),
    )


def require_settings(tokenizer: object, scheme: object, precision: object) -> None:
    """Refuse settings of a tagger that have a wrong type; whether there is such a scheme is not checked here.

    Raises:
        TypeError: The tokenizer is no function and not None, or the scheme or precision no string.
    """
    if tokenizer is not None and not callable(tokenizer):
        raise TypeError(
            f"tokenizer must be a function (got {describe(tokenizer)}). Pass one from text to sentences."
        )
    for name, value in (("scheme", scheme), ("precision", precision)):
        if not isinstance(value, str):
            raise TypeError(f"{name} must be a str (got {describe(value)}). Leave it out for the default.")


def require_threads(threads: object) -> int:
    """Return a number of threads.

    Raises:
        TypeError: It is not an integer.
        InputError: It is less than 1.
    """
    return require_integer(threads, "threads", least=1, hint="Pass None for one per processor core.")


def require_megabytes(size: object) -> int:
    """Return the size of a word cache.

    Raises:
        TypeError: It is not an integer.
        InputError: It is negative.
    """
    return require_integer(size, "cache_megabytes", least=0, hint="Leave it out for the default.")


def require_text(text: object) -> str:
    """Return a raw text.

    Raises:
        TypeError: It is not a string.
    """
    if isinstance(text, str):
        return text
    hint = "Pass one document as a string."
    if isinstance(text, bytes | bytearray):
        hint = "Decode it first, for instance with text.decode('utf-8')."
    elif isinstance(text, Sequence):
        hint = "Pass lists of tokens to Tagger.tag_tokens, and texts one by one."
    raise TypeError(f"text must be a str (got {describe(text)}). {hint}")


def require_token(token: object, where: str) -> str:
    """Return a token.

    Raises:
        TypeError: It is not a string.
    """
    if not isinstance(token, str):
        raise TypeError(f"{where} must be a str (got {describe(token)}). Pass each token as a string.")
    return token


def require_iterable(values: object, where: str, what: str, hint: str) -> None:
    """Refuse a value that is no sequence or stream of items in an order of their own.

    Args:
        values: The argument, or an item of it.
        where: Its name.
        what: What it must be, for the message.
        hint: What to pass, a sentence that ends the message.

    Raises:
        TypeError: It is not iterable, or bytes, a mapping or a set.
        InputError: It is a string, whose items are single characters.
    """
    problem = f"{where} must be {what} (got {describe(values)}). {hint}"
    if isinstance(values, str):
        raise InputError(problem)
    if isinstance(values, bytes | bytearray | Mapping | Set):
        raise TypeError(problem)
    try:
        iter(values)  # type: ignore[call-overload]
    except TypeError:  # also from arrays without a dimension, which only look iterable
        raise TypeError(problem) from None


def sentences_of_tokens(sentences: Iterable[Sequence[str]], *, is_document: bool) -> Iterator[Sentence]:
    """Make sentences of lists of tokens, one at a time.

    Args:
        sentences: The tokens of each sentence.
        is_document: True if they are one document.

    Returns:
        The sentences; their tokens are checked as the iterator reaches them.

    Raises:
        TypeError: ``sentences`` is not iterable or has no order; while reading, a sentence is no list of
            strings.
        InputError: ``sentences`` or, while reading, a sentence is a string.
    """
    require_iterable(sentences, "sentences", "an iterable of token lists", _ONE_STRING)
    return _sentences_of_tokens(sentences, is_document=is_document)


def _sentences_of_tokens(sentences: Iterable[Sequence[str]], *, is_document: bool) -> Iterator[Sentence]:
    for number, tokens in enumerate(sentences):
        if type(tokens) is not list and type(tokens) is not tuple:  # the slow check is for the rest
            hint = "Pass it to Tagger.tag_sentences." if isinstance(tokens, Sentence) else _ONE_STRING
            require_iterable(tokens, f"sentences[{number}]", "a list of tokens", hint)
        kept = tuple(tokens)
        try:
            yield from_tokens(kept, starts_document=number == 0 or not is_document)
        except TypeError:  # costs nothing where all is well
            _require_tokens(kept, f"sentences[{number}]")
            raise


def checked_sentences(sentences: Iterable[Sentence], name: str) -> Iterator[Sentence]:
    """Pass sentences on after a look at their types.

    Args:
        sentences: The sentences.
        name: The name of the argument, or of what returned them.

    Returns:
        The sentences; each is checked as the iterator reaches it.

    Raises:
        TypeError: ``sentences`` is not iterable or has no order; while reading, an item is no ``Sentence``
            or a token of it no string.
        InputError: ``sentences`` is a string; while reading, a sentence has not as many offsets as tokens.
    """
    hint = "Pass raw text to Tagger.tag, or lists of tokens to Tagger.tag_tokens."
    require_iterable(sentences, name, "an iterable of Sentence objects", hint)
    return _checked_sentences(sentences, name, hint)


def _checked_sentences(sentences: Iterable[Sentence], name: str, hint: str) -> Iterator[Sentence]:
    for number, sentence in enumerate(sentences):
        if not isinstance(sentence, Sentence):
            raise TypeError(f"{name}[{number}] must be a Sentence (got {describe(sentence)}). {hint}")
        if len(sentence.tokens) != len(sentence.offsets):
            raise InputError(
                f"{name}[{number}] must have as many offsets as tokens (got {len(sentence.offsets)} and "
                f"{len(sentence.tokens)}). Pass the start and end of each token."
            )
        if set(map(type, sentence.tokens)) - {str}:
            _require_tokens(sentence.tokens, f"{name}[{number}].tokens")
        yield sentence


def _require_tokens(tokens: Iterable[object], where: str) -> None:
    for place, token in enumerate(tokens):
        require_token(token, f"{where}[{place}]")


def with_room_for(sentences: Iterable[Sentence], n_best: int, most_tokens: int) -> Iterator[Sentence]:
    """Pass sentences on, and refuse one whose alternatives have more tokens in all than may be held.

    Args:
        sentences: The sentences.
        n_best: How many alternatives each gets.
        most_tokens: How many tokens the alternatives of one sentence may have.

    Raises:
        InputError: While reading, a sentence is too long.
    """
    for sentence in sentences:
        if n_best * len(sentence) > most_tokens:
            raise InputError(
                f"The sentence {sentence.text[:40]!r}… has {len(sentence):,} tokens, so that {n_best} "
                f"alternatives of it take too much memory; ask for {most_tokens // len(sentence)} or cut it."
            )
        yield sentence
