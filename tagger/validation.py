"""Convert pydantic's validation errors to one plain clause: what is wrong, and the value."""

from __future__ import annotations

import re
import reprlib

from pydantic import ValidationError

from tagger.errors import escape_line

# Clauses for error types whose own message names Python classes or uses pydantic's terms.
_CLAUSES = {
    "missing": "is missing",
    "extra_forbidden": "is unknown",
    "unexpected_keyword_argument": "is unknown",
    "model_type": "must contain named values",
    "dataclass_type": "must contain named values",
    "dict_type": "must contain named values",
    "tuple_type": "must be a list",
    "int_parsing_size": "must be a valid integer",
    "string_unicode": "must be valid Unicode",
}


def first_problem(error: ValidationError, *, depth: int | None = None) -> tuple[str, str]:
    """Return the name of the first invalid value, and a clause such as ``epochs must be … (got 0)``.

    Args:
        error: The error of pydantic.
        depth: Maximum number of keys in the name, for values of alternative types: pydantic adds keys that
            name the types. By default all keys.
    """
    errors = error.errors(include_url=False)
    keys = errors[0]["loc"][:depth]
    # If a value may have several types: the error of the type that it matches best.
    closest = max((item for item in errors if item["loc"][:depth] == keys), key=lambda item: len(item["loc"]))
    name = ".".join(map(str, keys))
    message = re.sub(r"^\w+ should ", "must ", closest["msg"].removeprefix("Value error, "))
    clause = _CLAUSES.get(closest["type"], message.partition(" after validation")[0])
    shows_value = keys and closest["type"] != "missing"
    got = f" (got {reprlib.repr(closest['input'])})" if shows_value else ""
    # Our own errors about the whole content name their subject; those of pydantic do not.
    subject = name or ("" if closest["type"] == "value_error" else "the content")
    return name, escape_line(f"{subject} {clause}{got}".lstrip())
