"""Errors as problem details in JSON (RFC 9457)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from starlette.responses import Response

from tagger.errors import InputError, escape_line

PROBLEM_TYPE = "application/problem+json"


def problem(status: int, detail: str, code: str = "") -> dict[str, Any]:
    """Return the fields of a problem.

    Args:
        status: The HTTP status.
        detail: What is wrong and what to do, in one line.
        code: The code of an ``InputError``.
    """
    fields = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status}
    return fields | {"detail": escape_line(detail)} | ({"code": code} if code else {})


def problem_response(
    status: int, detail: str, headers: Mapping[str, str] | None = None, code: str = ""
) -> Response:
    """Return a problem as a response.

    Clients of Hugging Face and of the Open Inference Protocol read the ``detail`` under the name ``error``.
    """
    fields = problem(status, detail, code)
    # ASCII, so that a lone surrogate in a message cannot fail.
    content = json.dumps(fields | {"error": fields["detail"]})
    return Response(content, status, headers, media_type=PROBLEM_TYPE)


def input_problem(error: InputError) -> Response:
    """Return the response for invalid input: 404 for an unknown model, else 422."""
    return problem_response(404 if error.code == "bundle.missing" else 422, str(error), code=error.code)


def describe_invalid(errors: Sequence[Mapping[str, Any]]) -> str:
    """Describe the first of pydantic's errors in one sentence, without the rejected value."""
    first = errors[0]
    place = ".".join(str(part) for part in first["loc"] if part != "body")
    message = str(first["msg"])
    others = f" ({len(errors) - 1} more)" if len(errors) > 1 else ""
    return f"{place or 'body'}: {message[:1].lower()}{message[1:]}{others}. See /openapi.json for the form."


def _describe(description: str) -> dict[str, Any]:
    """Return the OpenAPI description of an answer that is a problem."""
    text = {"type": "string"}
    schema = {
        "type": "object",
        "required": ["type", "title", "status", "detail"],
        "properties": dict.fromkeys(("type", "title", "detail", "error", "code"), text)
        | {"status": {"type": "integer"}},
    }
    return {"description": description, "content": {PROBLEM_TYPE: {"schema": schema}}}


PROBLEMS: dict[int | str, dict[str, Any]] = {
    401: _describe("The bearer token is missing or wrong."),
    404: _describe("There is no such model."),
    408: _describe("The body arrives too slowly."),
    413: _describe("The body is too large."),
    422: _describe("The request is invalid."),
    503: _describe("Too many requests are waiting, or the request took too long, or the server stops."),
}
"""Errors of all routes that tag, for OpenAPI."""
