"""``POST /tag``: the form of its requests and answers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictFloat, StrictInt, StrictStr

from tagger.corpus.jsonl import json_line
from tagger.errors import InputError
from tagger.runtime.json_lines import line_values, sentence_lines
from tagger.runtime.options import TagOptions
from tagger.runtime.sentence_tagger import select_tasks
from tagger.serving.batcher import Document
from tagger.serving.offset_units import convert_document
from tagger.serving.service import ServedModel
from tagger.text.sentence import Sentence, from_tokens

Probability = StrictFloat | StrictInt


class TagOptionFields(BaseModel):
    """Options of ``tagger tag`` in a request."""

    model_config = ConfigDict(extra="forbid")

    model: Annotated[StrictStr | None, Field(description="Name of a model; by default the first.")] = None
    task: Annotated[
        list[StrictStr] | None, Field(description="Tasks to write; by default all of the model.")
    ] = None
    scheme: Annotated[StrictStr, Field(description="Tag scheme, such as IOB2 or BIOES.")] = "IOB2"
    n_best: Annotated[
        StrictInt, Field(description="Number of most probable tag sequences per sentence to return.")
    ] = 0
    scores: Annotated[StrictBool, Field(description="Return the probability of each tag.")] = False
    min_score: Annotated[
        Probability | dict[StrictStr, Probability],
        Field(description="Score threshold of spans, for all labels or per label."),
    ] = 0.0
    candidates: Annotated[
        Probability, Field(description="Also return all spans with at least this score, even overlapping.")
    ] = 0.0

    def tag_options(self, model: ServedModel) -> TagOptions:
        """Return the options for a model; ``Service.tag`` checks them.

        Raises:
            InputError: The model lacks a task.
        """
        return TagOptions(
            tasks=select_tasks(model.tagger, self.task),
            n_best=self.n_best,
            has_scores=self.scores,
            min_score=self.min_score,
            candidates=self.candidates,
            scheme=self.scheme,
        )


class TagRequest(TagOptionFields):
    """The body of ``POST /tag``: one of ``text``, ``texts`` and ``tokens``."""

    text: Annotated[StrictStr | None, Field(description="A document.")] = None
    texts: Annotated[list[StrictStr] | None, Field(description="Documents, tagged independently.")] = None
    tokens: Annotated[
        list[list[StrictStr]] | None,
        Field(description="The tokens of each sentence of one document; offsets are those of lines."),
    ] = None
    offsets: Annotated[
        Literal["codepoints", "utf16", "bytes"],
        Field(description="Unit of all offsets: code points, UTF-16 code units, or bytes in UTF-8."),
    ] = "codepoints"

    def documents(self) -> list[Document]:
        """Return the documents.

        Raises:
            InputError: Not exactly one of the fields is set, or a sentence or token is empty.
        """
        given = [name for name in ("text", "texts", "tokens") if getattr(self, name) is not None]
        if len(given) != 1:
            raise InputError(
                f"the body must have one of text, texts and tokens (got {', '.join(given) or 'none'}). "
                "Send one of them.",
                code="argument.value",
            )
        if self.text is not None:
            return [self.text]
        if self.texts is not None:
            return list(self.texts)
        return [_sentences_of_lines(self.tokens or [])]

    def content(self, index: int, sentences: Sequence[Sentence]) -> str:
        """Return the text of a document, in which the offsets of its tagged sentences count."""
        if self.text is not None:
            return self.text
        return self.texts[index] if self.texts is not None else "\n".join(one.text for one in sentences)


def _sentences_of_lines(lines: Sequence[Sequence[str]]) -> list[Sentence]:
    """Return pretokenized sentences, with the offsets of a file that has a line per sentence."""
    sentences: list[Sentence] = []
    position = 0
    for number, tokens in enumerate(lines):
        if not tokens or not all(tokens):
            raise InputError(
                "must have tokens, none of which is empty. Leave empty sentences and tokens out.",
                code="argument.value",
                where=f"tokens[{number}]",
            )
        sentence = from_tokens(tokens, starts_document=not sentences)
        sentences.append(sentence.shifted(position) if position else sentence)
        position += len(sentence.text) + 1
    return sentences


def write_answer(
    request: TagRequest, model: ServedModel, documents: Sequence[Sequence[Sentence]], options: TagOptions
) -> str:
    """Write tagged documents as a JSON object with the lines of ``tagger tag --format jsonl``.

    Returns:
        An object with ``model``, and ``sentences`` for ``text`` and ``tokens`` or ``documents`` for
        ``texts``.
    """
    head = json_line({"name": model.name, "version": model.version}).rstrip()
    lists = [_join(_lines(request, index, options, documents[index])) for index in range(len(documents))]
    if request.texts is None:
        return f'{{"model": {head}, "sentences": [{lists[0]}]}}'
    items = ", ".join(f'{{"sentences": [{one}]}}' for one in lists)
    return f'{{"model": {head}, "documents": [{items}]}}'


def write_lines(request: TagRequest, documents: Sequence[Sequence[Sentence]], options: TagOptions) -> str:
    """Write tagged documents as the JSON lines of ``tagger tag --format jsonl``.

    The documents of ``texts`` are named by their index, as ``tagger tag`` names several files.
    """
    has_names = request.texts is not None and len(documents) > 1
    return "".join(
        line
        for index, sentences in enumerate(documents)
        for line in _lines(request, index, options, sentences, str(index) if has_names else None)
    )


def _lines(
    request: TagRequest,
    index: int,
    options: TagOptions,
    sentences: Sequence[Sentence],
    name: str | None = None,
) -> Iterable[str]:
    """Return the lines of a document, with offsets in the requested unit."""
    if request.offsets == "codepoints":
        return sentence_lines(sentences, options, name)
    values = (
        line_values(sentence, options, name, is_first=number == 0)
        for number, sentence in enumerate(sentences)
    )
    return map(json_line, convert_document(request.content(index, sentences), values, request.offsets))


def _join(lines: Iterable[str]) -> str:
    return ", ".join(line.rstrip("\n") for line in lines)


EXAMPLES: Mapping[str, Any] = {
    "text": {"summary": "A text", "value": {"text": "Jordan scored twice for Chicago."}},
    "texts": {
        "summary": "Several documents",
        "value": {"texts": ["She lives in Oslo.", "Ada met Otto."], "min_score": 0.5},
    },
    "tokens": {
        "summary": "Tokens, with probabilities",
        "value": {"tokens": [["Ada", "met", "Otto", "."]], "scores": True, "n_best": 2},
    },
}
"""Example bodies for OpenAPI."""
