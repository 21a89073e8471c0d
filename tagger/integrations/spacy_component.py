"""``bilstm_crf``: a spaCy pipeline component that tags spaCy's tokens."""

# No postponed annotations: older versions of spaCy cannot resolve those of a factory.
import os
import shutil
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp
from typing import Any, Self

from tagger.errors import InputError
from tagger.features.vocab import Task
from tagger.runtime.entity_pipeline import choose_task
from tagger.runtime.tagger import Tagger
from tagger.text.sentence import UNKNOWN_TAG, UNSPECIFIED, Sentence
from tagger.text.splitting import sentence_ranges
from tagger.text.tokenizer import Tokenizer

try:
    import srsly
    from spacy.language import Language
    from spacy.parts_of_speech import IDS
    from spacy.pipeline import Pipe
    from spacy.scorer import Scorer, get_ner_prf
    from spacy.tokens import Doc, Span, SpanGroup
    from spacy.training import Example
    from spacy.util import filter_spans
except ImportError as error:
    raise InputError(
        "the component bilstm_crf needs the package spacy. Install the extra `spacy` (see README).",
        code="package.missing",
    ) from error

__all__ = ["BiLSTMCRF"]
BATCH_SIZE = 128  # documents


@Language.factory(
    "bilstm_crf",
    assigns=["doc.ents", "doc.spans", "span._.score", "token.ent_type", "token.pos", "token.tag"],
    default_config={
        "model": "en",
        "task": None,
        "overwrite": False,
        "min_score": 0.0,
        "threads": None,
        "precision": "f32",
    },
    default_score_weights={"ents_f": 1.0, "ents_p": 0.0, "ents_r": 0.0, "pos_acc": 0.0, "tag_acc": 0.0},
)
class BiLSTMCRF(Pipe):
    """Tag the tokens of a ``Doc``; spaCy's factory ``bilstm_crf``.

    A ``Doc`` is a document: models with document context use all of it. Sentences are ``doc.sents`` if an
    earlier component set them, else those of the model's own splitter. Tokens of white space are not tagged;
    a task without spans gives them ``SPACE`` or ``_SP``, as in spaCy's own pipelines.

    The component sets, and never changes the tokens or sentences:

    - ``doc.ents``: the spans of ``task``;
    - ``doc.spans[TASK]`` for each task with spans: all spans, with their scores in ``attrs["scores"]``;
    - ``span._.score`` of these spans. spaCy stores one value per range of characters, so that the spans of
      ``task`` take precedence over those of other tasks;
    - ``token.pos_`` for a task whose tags are Universal Dependencies' parts of speech, ``token.tag_`` for any
      other task without spans.

    The model is loaded at first use, because ``spacy.load`` builds the component from its config before it
    reads the saved model, whose original folder may no longer exist.

    Args:
        nlp: The pipeline.
        name: The component's name in the pipeline.
        model: A model's folder, or the name of an included model.
        task: The task of ``doc.ents``, by default the first with spans.
        overwrite: True to replace entities, parts of speech and tags that earlier components set. By default,
            these remain, and overlapping spans are only in ``doc.spans``.
        min_score: Score threshold of the spans: a number, or one per label.
        threads: See ``Tagger``.
        precision: See ``Tagger``.
    """

    def __init__(
        self,
        nlp: Language,
        name: str,
        *,
        model: str | Path,
        task: str | None,
        overwrite: bool,
        min_score: float | dict[str, float],
        threads: int | None,
        precision: str,
    ) -> None:
        self.name = name
        self.vocab = nlp.vocab
        self.model_name = model
        self.task = task
        self.overwrite = overwrite
        self.min_score = min_score
        self.threads = threads
        self.precision = precision
        self._tagger: Tagger | None = None
        if not Span.has_extension("score"):
            Span.set_extension("score", default=None)

    @property
    def tagger(self) -> Tagger:
        """The model, loaded at first use.

        Raises:
            InputError: There is no such model, it lacks the task, or an argument is invalid.
        """
        if self._tagger is None:
            self._load(self.model_name)
        assert self._tagger is not None
        return self._tagger

    def _load(self, path: str | Path) -> None:
        tagger = Tagger.load(path, threads=self.threads, precision=self.precision)
        choose_task(tagger, self.task)
        self._tagger = tagger

    @property
    def labels(self) -> tuple[str, ...]:
        """The span labels of all tasks; empty if the model cannot be loaded."""
        try:
            return self.tagger.labels
        except InputError:  # spacy.load reads the labels before the saved model
            return ()

    def __call__(self, doc: Doc) -> Doc:
        """Tag a document in place.

        Raises:
            InputError: The model cannot be loaded, or ``min_score`` is invalid.
        """
        for tagged in self.pipe([doc], batch_size=1):
            return tagged
        return doc  # spaCy's error handler took the document

    def pipe(self, stream: Iterable[Doc], *, batch_size: int = BATCH_SIZE) -> Iterator[Doc]:
        """Tag a stream of documents; the result does not depend on ``batch_size``.

        Args:
            stream: The documents.
            batch_size: Number of documents to tag together.

        Raises:
            InputError: The model cannot be loaded, or ``min_score`` is invalid. With an error handler of
                spaCy, it receives the error and the documents of the batch instead.
        """
        handle: Callable[..., object] = self.get_error_handler()
        documents = iter(stream)
        while docs := list(islice(documents, batch_size)):
            try:
                self._tag(docs)
            except Exception as error:
                handle(self.name, self, docs, error)
            else:
                yield from docs

    def _tag(self, docs: Sequence[Doc]) -> None:
        parts = [self._sentences(doc) for doc in docs]
        sentences = (sentence for part in parts for sentence, _ in part)
        tagged = self.tagger.tag_sentences(sentences, min_score=self.min_score)
        for doc, part in zip(docs, parts, strict=True):
            indices = [own for _, own in part]
            self._annotate(doc, list(zip(islice(tagged, len(part)), indices, strict=True)))

    def _sentences(self, doc: Doc) -> list[tuple[Sentence, list[int]]]:
        """Return the sentences of a document, each with the indices of its tokens in the document."""
        tokenizer = Tokenizer(**self.tagger.bundle.tokenizer)
        if doc.has_annotation("SENT_START"):
            groups = [list(range(sentence.start, sentence.end)) for sentence in doc.sents]
        else:
            groups = _split(doc, tokenizer)
        text = doc.text
        result: list[tuple[Sentence, list[int]]] = []
        for group in groups:
            words = [index for index in group if not doc[index].is_space]
            for first in range(0, len(words), tokenizer.longest):
                indices = words[first : first + tokenizer.longest]
                tokens = tuple([doc[index].text for index in indices])
                starts = [doc[index].idx for index in indices]
                offsets = tuple([(at, at + len(token)) for at, token in zip(starts, tokens, strict=True)])
                start, end = offsets[0][0], offsets[-1][1]
                sentence = Sentence(tokens, offsets, text[start:end], start, starts_document=not result)
                result.append((sentence, indices))
        return result

    def _annotate(self, doc: Doc, tagged: Sequence[tuple[Sentence, list[int]]]) -> None:
        """Set the attributes of a document from its tagged sentences."""
        chosen = choose_task(self.tagger, self.task)
        for task in sorted(self.tagger.tasks, key=lambda task: task == chosen):
            if not task.scheme:
                self._set_tags(doc, task, tagged)
                continue
            found = [
                (Span(doc, indices[span.start], indices[span.end - 1] + 1, span.label), span.score)
                for sentence, indices in tagged
                for span in sentence.spans[task.name]
            ]
            for span, score in found:
                span._.score = score
            spans = [span for span, _ in found]
            scores = {"scores": [score for _, score in found]}
            doc.spans[task.name] = SpanGroup(doc, name=task.name, attrs=scores, spans=spans)
            if task == chosen:
                self._set_ents(doc, spans)

    def _set_ents(self, doc: Doc, spans: Sequence[Span]) -> None:
        first, second = (spans, doc.ents) if self.overwrite else (doc.ents, spans)
        taken = {index for span in first for index in range(span.start, span.end)}
        others = (span for span in second if taken.isdisjoint(range(span.start, span.end)))
        doc.ents = filter_spans(chain(first, others))

    def _set_tags(self, doc: Doc, task: Task, tagged: Sequence[tuple[Sentence, list[int]]]) -> None:
        attribute, space = ("pos_", "SPACE") if is_universal(task) else ("tag_", "_SP")
        values = {token.i: space for token in doc if token.is_space}
        for sentence, indices in tagged:
            values.update(zip(indices, sentence.tags[task.name], strict=True))
        for index, value in values.items():
            if value not in (UNSPECIFIED, UNKNOWN_TAG) and (
                self.overwrite or not getattr(doc[index], attribute)
            ):
                setattr(doc[index], attribute, value)

    def score(self, examples: Iterable[Example], **options: Any) -> dict[str, Any]:
        """Score documents with spaCy's scorer, for ``nlp.evaluate``.

        Args:
            examples: Predicted and gold documents.
            options: Options of spaCy's other scorers, not used.
        """
        examples = list(examples)
        scores: dict[str, Any] = {}
        for task in self.tagger.tasks:
            if not task.scheme:
                name = "pos" if is_universal(task) else "tag"
                scores |= Scorer.score_token_attr(examples, name)
        if choose_task(self.tagger, self.task).scheme:
            scores |= get_ner_prf(examples)
        return scores

    def to_disk(self, path: str | Path, *, exclude: Iterable[str] = ()) -> None:
        """Save the whole model to a folder, which ``Tagger.load`` reads too.

        Args:
            path: The folder.
            exclude: Required by spaCy; not used.

        Raises:
            InputError: The folder cannot be written.
        """
        self.tagger.save(path)

    def from_disk(self, path: str | Path, *, exclude: Iterable[str] = ()) -> Self:
        """Load the model from a folder, in place of the model of the config.

        Args:
            path: The folder.
            exclude: Required by spaCy; not used.

        Raises:
            InputError: The folder holds no model, or the model lacks the task.
        """
        self._load(path)
        return self

    def to_bytes(self, *, exclude: Iterable[str] = ()) -> bytes:
        """Return the whole model as bytes: the files of its folder.

        Args:
            exclude: Required by spaCy; not used.
        """
        with TemporaryDirectory() as name:
            folder = Path(name)
            self.tagger.save(folder)
            paths = sorted(path for path in folder.rglob("*") if path.is_file())
            files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}
        content: bytes = srsly.msgpack_dumps(files)
        return content

    def from_bytes(self, data: bytes, *, exclude: Iterable[str] = ()) -> Self:
        """Load the model of ``to_bytes``.

        Args:
            data: The bytes.
            exclude: Required by spaCy; not used.

        Raises:
            InputError: The bytes hold no model, or the model lacks the task.
        """
        folder = Path(mkdtemp(prefix="tagger-"))
        try:
            for path, content in _read_files(data, folder):
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
            self._load(folder)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        # The model maps a file of the folder into memory, and a contextual encoder is read from it.
        weakref.finalize(self.tagger, _remove, folder, os.getpid())
        return self


def is_universal(task: Task) -> bool:
    """True if the tags of a task without spans are parts of speech of Universal Dependencies."""
    return task.scheme is None and set(task.tags) - {UNSPECIFIED, UNKNOWN_TAG} <= set(IDS)


def _split(doc: Doc, tokenizer: Tokenizer) -> list[list[int]]:
    """Group a document's tokens by the sentence in which they begin, with the model's splitter."""
    starts = [start for start, _ in sentence_ranges(doc.text, newlines=tokenizer.newlines)]
    groups: list[list[int]] = [[]]
    position = 1
    for token in doc:
        while position < len(starts) and token.idx >= starts[position]:
            position += 1
            groups.append([])
        groups[-1].append(token.i)
    return groups


def _read_files(data: bytes, folder: Path) -> Iterator[tuple[Path, bytes]]:
    """Yield the path of each file of ``to_bytes`` with its content; all paths are in the folder."""
    try:
        files = srsly.msgpack_loads(data)
    except Exception:  # msgpack raises ValueError and its own exceptions
        files = None
    if isinstance(files, dict):
        root = folder.resolve()
        paths = [(root / str(name)).resolve() for name in files]
        if all(path.is_relative_to(root) for path in paths) and {*map(type, files.values())} <= {bytes}:
            yield from zip(paths, files.values(), strict=True)
            return
    raise InputError(
        "the bytes must be those of to_bytes. Save the pipeline again.",
        code="bundle.damaged",
        where="from_bytes",
    )


def _remove(folder: Path, process: int) -> None:
    if os.getpid() == process:  # a forked worker uses the folder of its parent
        shutil.rmtree(folder, ignore_errors=True)
