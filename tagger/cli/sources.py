"""What the words of `tagger tag` stand for: a model, files, standard input, or a text itself."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tagger.cli.input import STDIN, read_lines
from tagger.cli.output import tell
from tagger.errors import InputError
from tagger.included import DEFAULT, included_models


@dataclass(frozen=True, slots=True)
class Source:
    """Something to be tagged.

    Attributes:
        path: A file, or ``STDIN``.
        text: The text, if it stands on the command line.
    """

    path: Path
    text: str | None = None

    def lines(self, *, as_it_comes: bool = False) -> Iterator[str]:
        """The text in pieces, see ``read_lines``; one of the command line ends as a line does."""
        if self.text is None:
            return read_lines(self.path, as_it_comes=as_it_comes)
        return iter([f"{self.text}\n"])


def choose_model(words: Sequence[str], model: str | None) -> tuple[str, Sequence[str]]:
    """Which model tags, by folder or name, and the words that say what.

    The first word is the model if it is a folder or the name of a model in the package; what is tagged
    without a model being named is tagged with ``DEFAULT``.

    Args:
        words: The command's words.
        model: What ``--model`` says.

    Raises:
        InputError: The first of several words is neither a model nor a file.
    """
    if model is not None or not words:
        return (DEFAULT if model is None else model), words
    first, rest = words[0], words[1:]
    if os.path.isdir(first) or first in included_models():  # noqa: PTH112, never raises
        return first, rest
    if rest and first != str(STDIN) and not os.path.lexists(first):
        raise InputError(
            f"{first}: there is no such model or file; the models in the package are "
            f"{', '.join(included_models()) or 'none'}, and a text is given as one word, in quotes."
        )
    return DEFAULT, words


def find_sources(words: Sequence[str], *, is_text_likely: bool) -> list[Source]:
    """Files, standard input, or one text.

    A word that names no file is a text, unless it looks like a path.

    Args:
        words: What is to be tagged; standard input when there are none.
        is_text_likely: Whether also a word without white space may be a text: not where it stands behind a
            model, and so in the place of a file.

    Raises:
        InputError: A file is not there, or a text is not alone.
    """
    found = [_find_source(word, is_text_likely=is_text_likely) for word in words] or [Source(STDIN)]
    texts = [one for one in found if one.text is not None]
    if texts and len(found) > 1:
        raise InputError(
            f"{texts[0].text}: there is no such file, and a text is tagged alone; give one text in quotes, "
            "or files."
        )
    return found


def _find_source(word: str, *, is_text_likely: bool) -> Source:
    path = Path(word)
    if path == STDIN or os.path.lexists(word):
        return Source(path)
    if _looks_like_path(word) or not (is_text_likely or re.search(r"\s", word.strip())):
        raise InputError(f"{word}: there is no such file; check the path.")
    try:
        word.encode()
    except UnicodeEncodeError:  # bytes of the command line that Python keeps as halves of characters
        raise InputError(f"{word}: the text is not UTF-8; give it on standard input or in a file.") from None
    return Source(Path("text"), word)


def _looks_like_path(word: str) -> bool:
    """Whether a word that names no file was meant to: it has a folder that is there, or a suffix."""
    folder = os.path.dirname(word)  # noqa: PTH120, of a path `Path` leaves out a dot before, a slash behind
    if folder and os.path.isdir(folder):  # noqa: PTH112, never raises
        return True
    return os.path.isabs(word) or (not re.search(r"\s", word) and bool(folder or Path(word).suffix))  # noqa: PTH117


def warn_of_word(words: Sequence[str], sources: Sequence[Source]) -> None:
    """Say that a single word is tagged as a text: it may have been meant to name a model."""
    if len(words) == 1 and sources[0].text is not None and not re.search(r"\s", words[0]):
        tell(f"tagger: there is no file or model {words[0]!r}, so that it is tagged as a text")
