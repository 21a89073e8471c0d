"""Validate arguments of the Python API; errors name the argument, sentence and token."""

from __future__ import annotations

import math
import operator
import os
import reprlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import replace
from numbers import Real
from pathlib import Path

from tagger.decoding.temperature import HIGHEST, LOWEST
from tagger.errors import InputError
from tagger.runtime.options import TagOptions
from tagger.text.sentence import Sentence, from_tokens

LEAST_CANDIDATE = 0.001  # smallest threshold: at most 1000 candidate spans can end at the same token
MOST_ALTERNATIVES = 1000  # largest ``n_best``
_ONE_STRING = "Pass a list of tokens, or raw text to Tagger.tag."


def describe(value: object) -> str:
    """Describe a value for an error message: its type, and the value if it is a short scalar."""
    if value is None:
        return "None"
    kind = type(value).__name__
    return f"{kind} {reprlib.repr(value)}" if isinstance(value, str | bytes | int | float) else kind


def _invalid(message: str, name: str) -> InputError:
    """Return the error for an invalid argument, or for a command-line option such as ``--min-score PER``."""
    if name.startswith("--"):
        return InputError(message, code="option.value", option=name.partition(" ")[0])
    return InputError(message, code="argument.value", option=name)


def require_integer(value: object, name: str, *, least: int, hint: str, most: int | None = None) -> int:
    """Return an integer argument as an int.

    Args:
        value: The argument; numpy integers are accepted, booleans are not.
        name: The argument's name.
        least: The minimum.
        hint: What to pass instead; the message ends with this sentence.
        most: The maximum, if any.

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
        raise _invalid(f"{name} must be {bounds} (got {number}). {hint}", name)
    return number


def require_number(value: object, name: str, *, least: float, most: float, hint: str) -> float:
    """Return a number as a float.

    Args:
        value: The argument; booleans and NaN are not accepted.
        name: The argument's name.
        least: The minimum.
        most: The maximum.
        hint: What to pass instead; the message ends with this sentence.

    Raises:
        TypeError: It is not a real number.
        InputError: It is out of bounds, or NaN.
    """
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name} must be a number (got {describe(value)}). {hint}")
    number = float(value)
    if math.isnan(number) or not least <= number <= most:
        raise _invalid(f"{name} must be from {least:g} to {most:g} (got {number:g}). {hint}", name)
    return number


def require_probability(value: object, name: str) -> float:
    """Return a score threshold.

    Raises:
        TypeError: It is not a number.
        InputError: It is below 0, above 1, or NaN.
    """
    return require_number(value, name, least=0, most=1, hint="Use a probability; 0 keeps all spans.")


def require_recall(value: object, name: str) -> float:
    """Return a target recall.

    Raises:
        TypeError: It is not a number.
        InputError: It is below 0, above 1, or NaN.
    """
    return require_number(value, name, least=0, most=1, hint="Use a share of the gold spans, such as 0.99.")


def require_min_score(min_score: object, labels: Collection[str]) -> dict[str, float]:
    """Return the score threshold per label; labels whose threshold is 0 may be missing.

    Args:
        min_score: A number for all labels, or a mapping from labels to numbers.
        labels: The model's labels.

    Raises:
        TypeError: It is neither a number nor a mapping from labels to numbers.
        InputError: A number is not a probability, or a label is unknown.
    """
    if not isinstance(min_score, Mapping):
        score = require_probability(min_score, "min_score")
        return dict.fromkeys(labels, score) if score else {}
    for label in min_score:
        require_label(label, labels, "min_score")
    return {label: require_probability(score, f"min_score[{label!r}]") for label, score in min_score.items()}


def require_label(label: object, labels: Collection[str], name: str) -> None:
    """Check that the model has a label; the error names the argument or option ``name``.

    Raises:
        InputError: The label is unknown; the message lists the model's labels.
    """
    if label not in labels:
        known = f"Its labels are {', '.join(sorted(labels))}." if labels else "None of its tasks has spans."
        message = f"the model has no label {label!r}. {known}"
        raise InputError(message, code="corpus.labels", where=name, option=name)


def require_temperatures(temperatures: object) -> None:
    """Check the temperatures of tasks.

    Raises:
        TypeError: It is not a mapping to numbers.
        InputError: A temperature is out of bounds.
    """
    if not isinstance(temperatures, Mapping):
        raise TypeError(
            f"temperatures must be a mapping (got {describe(temperatures)}). Pass a number for each task."
        )
    for task, value in temperatures.items():
        hint = "Pass 1 for the model's own probabilities."
        require_number(value, f"temperatures[{task!r}]", least=LOWEST, most=HIGHEST, hint=hint)


def require_candidates(threshold: object, name: str = "candidates") -> float:
    """Return the score threshold of candidate spans, 0 for no candidates.

    Raises:
        TypeError: It is not a number.
        InputError: It is neither 0 nor a probability of at least ``LEAST_CANDIDATE``.
    """
    hint = f"Use a probability of at least {LEAST_CANDIDATE:g}, or 0 for no candidates."
    score = require_number(threshold, name, least=0, most=1, hint=hint)
    if 0 < score < LEAST_CANDIDATE:
        raise _invalid(f"{name} must be at least {LEAST_CANDIDATE:g} (got {score:g}). {hint}", name)
    return score


def check_options(options: TagOptions, labels: Collection[str]) -> TagOptions:
    """Check the options that determine what to compute.

    Args:
        options: The options of a call; the types of their values are checked too.
        labels: The model's span labels.

    Returns:
        The options with Python numbers, and with score thresholds per label.

    Raises:
        TypeError: A value has a wrong type.
        InputError: A number is out of bounds, or ``min_score`` has an unknown label.
    """
    hint = "Pass 0 for no alternatives."
    return replace(
        options,
        n_best=require_integer(options.n_best, "n_best", least=0, most=MOST_ALTERNATIVES, hint=hint),
        has_scores=bool(options.has_scores),
        min_score=require_min_score(options.min_score, labels),
        candidates=require_candidates(options.candidates),
    )


def require_settings(tokenizer: object, scheme: object, precision: object) -> None:
    """Check the types of a tagger's settings, but not the names of scheme and precision.

    Raises:
        TypeError: The tokenizer is neither a function nor None, or the scheme or precision is not a string.
    """
    if tokenizer is not None and not callable(tokenizer):
        raise TypeError(
            f"tokenizer must be a function (got {describe(tokenizer)}). Pass one from text to sentences."
        )
    for name, value in (("scheme", scheme), ("precision", precision)):
        if not isinstance(value, str):
            raise TypeError(f"{name} must be a str (got {describe(value)}). Omit it to use the default.")


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
    return require_integer(size, "cache_megabytes", least=0, hint="Omit it to use the default.")


def require_path(path: object, name: str) -> Path:
    """Return a path.

    Raises:
        TypeError: It is neither a string nor a path.
    """
    if not isinstance(path, str | os.PathLike):
        raise TypeError(f"{name} must be a str or Path (got {describe(path)}). Pass a path.")
    return Path(path)


def require_names(names: object, where: str) -> list[str]:
    """Return names as a list: one name, several, or none if the argument is None.

    Raises:
        TypeError: It is neither a string nor a list or tuple of strings.
    """
    listed = [] if names is None else [names] if isinstance(names, str) else names
    if not isinstance(listed, list | tuple) or not all(isinstance(name, str) for name in listed):
        raise TypeError(f"{where} must be a str or a list of them (got {describe(names)}). Pass names.")
    return list(listed)


def require_text(text: object, name: str = "text") -> str:
    """Return a raw text.

    Args:
        text: The argument, or an item of it.
        name: The name of the argument or item.

    Raises:
        TypeError: It is not a string.
    """
    if isinstance(text, str):
        return text
    hint = "Pass one document as a string."
    if isinstance(text, bytes | bytearray):
        hint = "Decode it first, for instance with text.decode('utf-8')."
    elif isinstance(text, Sequence):
        hint = "Pass lists of tokens to Tagger.tag_tokens, and several texts to Tagger.pipe."
    raise TypeError(f"{name} must be a str (got {describe(text)}). {hint}")


def require_token(token: object, where: str) -> str:
    """Return a token.

    Raises:
        TypeError: It is not a string.
    """
    if not isinstance(token, str):
        raise TypeError(f"{where} must be a str (got {describe(token)}). Pass each token as a string.")
    return token


def require_iterable(values: object, where: str, what: str, hint: str) -> None:
    """Check that a value is an ordered iterable.

    Args:
        values: The argument, or an item of it.
        where: The name of the argument or item.
        what: The expected type, for the message.
        hint: What to pass instead; the message ends with this sentence.

    Raises:
        TypeError: It is not iterable, or a string (whose items are single characters), bytes, a mapping or a
            set.
    """
    problem = f"{where} must be {what} (got {describe(values)}). {hint}"
    if isinstance(values, str | bytes | bytearray | Mapping | Set):
        raise TypeError(problem)
    try:
        iter(values)  # type: ignore[call-overload]
    except TypeError:  # zero-dimensional arrays have __iter__ but raise here
        raise TypeError(problem) from None


def sentences_of_tokens(sentences: Iterable[Sequence[str]], *, is_document: bool) -> Iterator[Sentence]:
    """Create sentences from lists of tokens, lazily.

    Args:
        sentences: The tokens of each sentence.
        is_document: True if the sentences form one document.

    Returns:
        An iterator of sentences; it checks the tokens of each sentence when it reaches it.

    Raises:
        TypeError: ``sentences`` is a string, not iterable or has no order; during iteration, a sentence is
            not a list of strings.
    """
    require_iterable(sentences, "sentences", "an iterable of token lists", _ONE_STRING)
    return _sentences_of_tokens(sentences, is_document=is_document)


def _sentences_of_tokens(sentences: Iterable[Sequence[str]], *, is_document: bool) -> Iterator[Sentence]:
    for number, tokens in enumerate(sentences):
        if type(tokens) is not list and type(tokens) is not tuple:  # only other types need the slow check
            hint = "Pass it to Tagger.tag_sentences." if isinstance(tokens, Sentence) else _ONE_STRING
            require_iterable(tokens, f"sentences[{number}]", "a list of tokens", hint)
        copied = tuple(tokens)
        try:
            yield from_tokens(copied, starts_document=number == 0 or not is_document)
        except TypeError:  # valid sentences skip the check of each token
            _require_tokens(copied, f"sentences[{number}]")
            raise


def checked_sentences(
    sentences: Iterable[Sentence],
    name: str,
    *,
    hint: str = "Pass raw text to Tagger.tag, or lists of tokens to Tagger.tag_tokens.",
) -> Iterator[Sentence]:
    """Yield sentences after checking their types.

    Args:
        sentences: The sentences.
        name: The name of the argument or of the function that returned the sentences.
        hint: What to pass instead; messages end with this sentence.

    Returns:
        An iterator of the same sentences; it checks each sentence when it reaches it.

    Raises:
        TypeError: ``sentences`` is a string, not iterable or has no order; during iteration, an item is not
            a ``Sentence`` or a token not a string.
        InputError: During iteration, a sentence has more or fewer offsets than tokens.
    """
    require_iterable(sentences, name, "an iterable of Sentence objects", hint)
    return _checked_sentences(sentences, name, hint)


def _checked_sentences(sentences: Iterable[Sentence], name: str, hint: str) -> Iterator[Sentence]:
    for number, sentence in enumerate(sentences):
        if not isinstance(sentence, Sentence):
            raise TypeError(f"{name}[{number}] must be a Sentence (got {describe(sentence)}). {hint}")
        if len(sentence.tokens) != len(sentence.offsets):
            raise _invalid(
                f"{name}[{number}] must have as many offsets as tokens (got {len(sentence.offsets)} and "
                f"{len(sentence.tokens)}). Pass the start and end of each token.",
                f"{name}[{number}]",
            )
        if set(map(type, sentence.tokens)) - {str}:
            _require_tokens(sentence.tokens, f"{name}[{number}].tokens")
        yield sentence


def _require_tokens(tokens: Iterable[object], where: str) -> None:
    for index, token in enumerate(tokens):
        require_token(token, f"{where}[{index}]")


def limit_alternatives(sentences: Iterable[Sentence], n_best: int, max_tokens: int) -> Iterator[Sentence]:
    """Yield sentences after checking that their alternatives do not take too much memory.

    Args:
        sentences: The sentences.
        n_best: Number of alternatives per sentence.
        max_tokens: Maximum number of tokens in all alternatives of one sentence.

    Raises:
        InputError: During iteration, a sentence is too long.
    """
    for sentence in sentences:
        if n_best * len(sentence) > max_tokens:
            raise InputError(
                f"n_best must be at most {max_tokens // len(sentence)} for the sentence "
                f"{sentence.text[:40]!r}… of {len(sentence):,} tokens (got {n_best}). More alternatives take "
                f"too much memory: request fewer, or split the sentence.",
                code="input.size",
                option="n_best",
            )
        yield sentence
