"""Checks of an ``InputError`` by its code, location and option instead of its English text."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tagger.errors import InputError


def check(
    error: InputError,
    code: str,
    *,
    file: object = "",
    line: int | None = None,
    option: str = "",
    mentions: str = "",
) -> None:
    """Check all properties of an error.

    Args:
        error: The error.
        code: Its code.
        file: The end of the path of its file.
        line: Its line number.
        option: The option to correct.
        mentions: A value or name that its text contains.
    """
    assert (error.code, error.line, error.option) == (code, line, option), str(error)
    assert error.file.endswith(str(file)), str(error)
    assert mentions in str(error)


@contextmanager
def raises(code: str, **properties: object) -> Iterator[pytest.ExceptionInfo[InputError]]:
    """Check that the block raises an error with these properties (see ``check``)."""
    with pytest.raises(InputError) as caught:
        yield caught
    check(caught.value, code, **properties)
