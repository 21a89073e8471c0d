"""What a model proposes for a sentence of a project, in the project's labels and scheme."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import sqlalchemy as sa

from tagger.annotation.store import AnnotationStore
from tagger.corpus import project_tables as tables
from tagger.corpus.project_documents import ProjectSettings, stored_sentence
from tagger.runtime.options import TagOptions
from tagger.runtime.tagger import Tagger
from tagger.text.schemes import spans_to_tags
from tagger.text.sentence import UNKNOWN_TAG, Sentence, Span

REACH = 100  # sentences of the document on either side that the model reads


@dataclass(frozen=True, slots=True)
class Proposal:
    """A model's tags for a sentence of T tokens.

    Attributes:
        tags: T tags of the project's labels and scheme.
        scores: T probabilities of the tags that the model found.
        spans: The spans with their exact probabilities; without a scheme, one for each token that has a tag
            of the project.
    """

    tags: tuple[str, ...]
    scores: tuple[float, ...]
    spans: tuple[Span, ...]


def propose(store: AnnotationStore, tagger: Tagger, identifier: int) -> Proposal:
    """Tag a sentence in its document.

    Args:
        store: The project.
        tagger: A model with the project's task.
        identifier: The id of the sentence.
    """
    table = tables.sentences
    own = sa.select(table.c.document).where(table.c.id == identifier).scalar_subquery()
    # Sentences of a document have adjacent ids.
    query = sa.select(table.c.id, table.c.content).where(
        table.c.document == own, table.c.id.between(identifier - REACH, identifier + REACH)
    )
    with store.reading() as connection:
        rows = connection.execute(query.order_by(table.c.id)).all()
    window = [stored_sentence(row.content, f"{store.name}:{row.id}") for row in rows]
    window[0] = replace(window[0], starts_document=True)
    tagged = list(tagger.annotate(window, TagOptions(has_scores=True)))
    return _restrict(tagged[[row.id for row in rows].index(identifier)], store.settings)


def _restrict(sentence: Sentence, settings: ProjectSettings) -> Proposal:
    """Return the tags of a sentence, without labels that the project does not have."""
    task = settings.task
    scores = sentence.tag_scores[task]
    if settings.scheme is None:
        tags = [tag if tag in settings.labels else UNKNOWN_TAG for tag in sentence.tags[task]]
        return Proposal(tuple(tags), scores, tuple(tag_spans(tags, scores)))
    spans = tuple(span for span in sentence.spans[task] if span.label in settings.labels)
    return Proposal(tuple(spans_to_tags(spans, len(sentence), settings.scheme)), scores, spans)


def tag_spans(tags: Sequence[str], scores: tuple[float, ...] | None = None) -> list[Span]:
    """Return T tags without a scheme as spans of one token each; unknown tags have none."""
    return [
        Span(index, index + 1, tag, scores[index] if scores else None)
        for index, tag in enumerate(tags)
        if tag != UNKNOWN_TAG
    ]
