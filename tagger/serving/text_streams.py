"""Texts that arrive in pieces: long documents over HTTP, and text that is being written over a WebSocket."""

from __future__ import annotations

from typing import TypeVar

from pydantic import BaseModel, ConfigDict, StrictBool, StrictStr

JSON_LINES = "application/x-ndjson"
LONGEST_LINE = 1 << 20  # bytes of a line of JSON
BLOCK_LINES = 256  # lines of the answer that are sent together
READ_AHEAD = 64  # documents that are tagged together
Item = TypeVar("Item")


class TextLine(BaseModel):
    """A line of a body of JSON lines."""

    model_config = ConfigDict(extra="ignore")

    text: StrictStr


class Piece(BaseModel):
    """A message of a client that is writing a text.

    Attributes:
        tokens: The next tokens.
        end: True if the sentence ends after them.
    """

    model_config = ConfigDict(extra="forbid")

    tokens: list[StrictStr] = []
    end: StrictBool = False
