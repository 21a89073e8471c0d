"""``Desk``: hand out the sentences of a project, take decisions, and fill the queue in the background."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import partial
from pathlib import PurePath
from threading import Lock
from typing import Any

from tagger.annotation.audits import find_audits, read_tags
from tagger.annotation.background_training import BackgroundTraining
from tagger.annotation.model_versions import find_active
from tagger.annotation.planning import (
    QUEUE_SIZE,
    choose_sentences,
    count_waiting,
    draw_sentences,
    measure_cost,
    top_up,
)
from tagger.annotation.project_records import Decision, Lease, ModelVersion, Progress
from tagger.annotation.proposals import Proposal, propose, tag_spans
from tagger.annotation.store import LEASE_SECONDS, AnnotationStore
from tagger.annotation.strategies import StrategyName
from tagger.errors import InputError
from tagger.included import find_model
from tagger.runtime.label_errors import Suspicion
from tagger.runtime.sentence_tagger import choose_tasks
from tagger.runtime.tagger import Tagger
from tagger.serving.annotation_values import model_values, span_values, token_values, training_values
from tagger.text.markup import label_hues
from tagger.text.schemes import spans_to_tags, tags_to_spans
from tagger.text.sentence import UNKNOWN_TAG, Sentence, Span

LEAST_WAITING = 20  # sentences of the queue below which more are chosen
HEAD_START = 5_000  # sentences that are ranked at once; others of a larger pool are drawn meanwhile
MOST_HANDED_OUT = 10_000  # leases whose proposals are in memory
WAIT_SECONDS = 2.0  # that the first request waits for the queue
PAUSE_SECONDS = 30.0  # without any action, after which the page does not count time
STOP_SECONDS = 10.0  # that ``close`` gives a training to write its checkpoint


class _ClosedError(Exception):
    """The desk was closed while a model ranked the pool."""


@dataclass(frozen=True, slots=True)
class _HandedOut:
    """A leased sentence as an annotator sees it: since when, and what the model proposed."""

    since: float
    proposal: Proposal | None
    version: int | None


@dataclass(frozen=True, slots=True)
class _ActiveModel:
    version: int
    tagger: Tagger


class Desk:
    """Hand out the sentences of one project; thread-safe.

    Several processes may share a project. Each fills the queue when it runs low, with the same sentences.

    Args:
        store: The project. The desk does not close it.
        strategy: The strategy that chooses sentences.
        random_share: Share of the sentences that is drawn at random.
        training: Trains the project's model while people annotate; None to do without. ``close`` stops it.

    Raises:
        InputError: The active model cannot be loaded, or does not have the project's task.
    """

    def __init__(
        self,
        store: AnnotationStore,
        *,
        strategy: StrategyName = "uncertainty",
        random_share: float = 0.2,
        training: BackgroundTraining | None = None,
    ) -> None:
        self.store = store
        self._strategy = strategy
        self._random_share = random_share
        self.training = training
        self._handed_out: OrderedDict[str, _HandedOut] = OrderedDict()
        self._audits: dict[int, list[Suspicion]] | None = None  # those that are left; None before a round
        self._lock = Lock()
        self._threads = ThreadPoolExecutor(2, thread_name_prefix="annotation")
        self._filling: Future[None] | None = None
        self._auditing: Future[dict[int, list[Suspicion]]] | None = None
        self._filled_at: tuple[int | None, int] | None = None  # model and work when the pool was exhausted
        self._is_closed = False
        self._model = self._load(find_active(store))

    @property
    def is_ready(self) -> bool:
        """True until ``close``."""
        return not self._is_closed

    def close(self) -> None:
        """End the threads and the training, which can be resumed; what is being ranked is dropped."""
        self._is_closed = True
        if self.training:
            self.training.stop(seconds=STOP_SECONDS)
        self._threads.shutdown(cancel_futures=True)

    # What the page shows

    def describe(self) -> dict[str, Any]:
        """Return what the page must know of the project, as JSON values."""
        settings = self.store.settings
        hues = label_hues(settings.labels)
        return {
            "name": PurePath(self.store.name).name,
            "task": settings.task,
            "labels": [{"name": label, "hue": hues[label]} for label in settings.labels],
            "has_spans": settings.scheme is not None,
            "lease_seconds": LEASE_SECONDS,
            "pause_seconds": PAUSE_SECONDS,
        }

    def progress(self) -> dict[str, Any]:
        """Return how far the project is, as JSON values."""
        progress, cost = self.store.progress(), measure_cost(self.store)
        totals = {
            name: sum(getattr(share, name) for share in progress.shares)
            for name in ("accepted", "skipped", "tokens", "seconds")
        }
        n_done = _count_work(progress)
        n_left, tokens_left = progress.sentences - n_done, progress.tokens - totals["tokens"]
        people: dict[str, int] = {}
        for share in progress.shares:
            people[share.annotator] = people.get(share.annotator, 0) + share.accepted
        return {
            **totals,
            "annotators": [{"name": name, "accepted": count} for name, count in people.items()],
            "sentences": progress.sentences,
            "pool_tokens": progress.tokens,
            "queued": progress.queued,
            "seconds_left": n_left * cost.per_sentence + tokens_left * cost.per_token,
            "models": [model_values(model) for model in self.store.models()],
            "training": self.training_state(),
        }

    def training_state(self) -> dict[str, Any] | None:
        """Return the state of the last training as JSON values; None if this desk does not train."""
        return training_values(self.training, self.store) if self.training else None

    # Leases and decisions

    def next_sentence(self, annotator: str) -> dict[str, Any]:
        """Lease the next sentence of the queue and return it with the model's proposal.

        Returns:
            The sentence as JSON values. Without one, ``{"lease": None, "state": …}``: ``preparing`` while
            sentences are chosen, ``leased`` if others have all that are left, else ``done``.
        """
        self._refill()
        lease = self.store.lease_next(annotator)
        if lease:
            return self._hand_out(lease)
        if self._filling:
            return {"lease": None, "state": "preparing"}
        return {"lease": None, "state": "leased" if self.store.progress().queued else "done"}

    def next_audit(self, annotator: str) -> dict[str, Any]:
        """Lease the most suspicious annotation that was not handed out, with the reason.

        Returns:
            As for ``next_sentence``; a call after ``done`` begins another round, and the state ``no model``
            tells that the project has none.
        """
        self._refill()  # loads the active model
        if self._model is None:
            return {"lease": None, "state": "no model"}
        with self._lock:
            if self._auditing is None and self._audits is None:
                self._auditing = self._threads.submit(find_audits, self.store, self._model.tagger)
            if self._auditing:
                if not self._auditing.done():
                    return {"lease": None, "state": "preparing"}
                ended, self._auditing = self._auditing, None
                self._audits = ended.result()
        while True:
            with self._lock:
                if not self._audits:
                    self._audits = None
                    return {"lease": None, "state": "done"}
                identifier = next(iter(self._audits))
                suspicions = self._audits.pop(identifier)
            lease = self.store.lease(annotator, identifier, strategy="label errors")
            current = read_tags(self.store, identifier) if lease else None
            if lease and current:
                return self._hand_out(lease, current) | {"suspicions": [one.values() for one in suspicions]}
            if lease:  # it was undone meanwhile
                self.store.release(lease.key)

    def decide(
        self, key: str, work: tuple[int, Sequence[Span], Sequence[int]] | None, seconds: float
    ) -> dict[str, Any]:
        """Store a decision. It is on disk when the method returns.

        Args:
            key: The key of the lease.
            work: The number of tokens, the spans and the indices of unknown tokens; None to skip.
            seconds: The time that the page measured. No more is recorded than has passed since the sentence
                was handed out, and 0 if this process did not hand it out.

        Raises:
            InputError: The spans are not those of the project and sentence, or others have the sentence.
        """
        handed = self._handed_out.get(key) or _HandedOut(self.store.clock(), None, None)
        decision = Decision(
            None if work is None else self._encode(*work),
            min(seconds, max(0.0, self.store.clock() - handed.since)),
            handed.proposal.tags if handed.proposal else None,
            handed.proposal.scores if handed.proposal else None,
            handed.version,
        )
        identifier = self.store.record(key, decision)
        with self._lock:
            self._handed_out.pop(key, None)
        return {"annotation": identifier}

    def undo(self, annotator: str, key: str | None) -> dict[str, Any]:
        """Undo the annotator's last decision, and return its sentence with the tags that it had.

        Args:
            annotator: Who undoes it.
            key: The key of the lease that the annotator leaves for it, if any.

        Returns:
            As for ``next_sentence``; the state ``nothing`` tells that there is no decision.
        """
        undone = self.store.undo(annotator)
        if undone is None:
            return {"lease": None, "state": "nothing"}
        if key:
            self.store.release(key)
        lease, annotation = undone
        return self._hand_out(lease, annotation.tags)

    # Below: the model and its threads

    def _encode(self, n_tokens: int, spans: Sequence[Span], unknown: Sequence[int]) -> tuple[str, ...]:
        """Return the T tags of spans and unknown tokens; without a scheme, all other tokens are unknown."""
        scheme = self.store.settings.scheme
        if scheme is None:
            tags = [UNKNOWN_TAG] * n_tokens
            for span in spans:
                if not 0 <= span.start < span.end <= n_tokens:
                    raise _invalid(f"a span from {span.start} to {span.end} is outside the sentence")
                tags[span.start : span.end] = [span.label] * (span.end - span.start)
            return tuple(tags)
        tags = spans_to_tags(spans, n_tokens, scheme)
        for index in unknown:
            if not 0 <= index < n_tokens or tags[index] != "O":
                raise _invalid(f"the unknown token {index} is in a span or outside the sentence")
            tags[index] = UNKNOWN_TAG
        return tuple(tags)

    def _hand_out(self, lease: Lease, tags: Sequence[str] | None = None) -> dict[str, Any]:
        """Return a leased sentence with these tags, or with those that the model proposes."""
        try:
            sentence, model = self.store.sentence(lease.sentence), self._model
            proposal = propose(self.store, model.tagger, lease.sentence) if model else None
        except BaseException:
            self.store.release(lease.key)
            raise
        with self._lock:
            version = model.version if model else None
            self._handed_out[lease.key] = _HandedOut(self.store.clock(), proposal, version)
            if len(self._handed_out) > MOST_HANDED_OUT:
                self._handed_out.popitem(last=False)
        spans: Sequence[Span] = proposal.spans if proposal else ()
        if tags is not None:
            scheme, known = self.store.settings.scheme, {_key(span): span for span in spans}
            own = tags_to_spans(tags, scheme) if scheme else tag_spans(tags)
            spans = [known.get(_key(span), span) for span in own]
        return {
            "lease": {"key": lease.key, "sentence": lease.sentence},
            **token_values(sentence),
            "spans": [span_values(span) for span in spans],
            "unknown": [index for index, tag in enumerate(tags or ()) if tag == UNKNOWN_TAG],
            "model": version,
        }

    def _load(self, model: ModelVersion | None) -> _ActiveModel | None:
        if model is None:
            return None
        tagger = Tagger.load(find_model(model.folder))
        choose_tasks(tagger, [self.store.settings.task])
        return _ActiveModel(model.version, tagger)

    def _refill(self) -> None:
        """Choose more sentences in the background if few wait, or if another model has become active."""
        with self._lock:
            if self._filling:
                if not self._filling.done():
                    return
                ended, self._filling = self._filling, None
                ended.result()
            active = find_active(self.store)
            version = active.version if active else None
            is_new = version != (self._model.version if self._model else None)
            n_waiting = count_waiting(self.store)
            if not is_new and (n_waiting >= LEAST_WAITING or self._has_all(version, n_waiting)):
                return
            self._filling = self._threads.submit(self._fill, active)
            is_waited_for = not n_waiting
        if is_waited_for:  # a small pool is ranked at once
            wait([self._filling], timeout=WAIT_SECONDS)

    def _has_all(self, version: int | None, n_waiting: int) -> bool:
        """Return True if the queue holds all that is left. It may not once its last decision was undone."""
        if not self._filled_at or self._filled_at[0] != version:
            return False
        return n_waiting > 0 or self._filled_at[1] == _count_work(self.store.progress())

    def _fill(self, active: ModelVersion | None) -> None:
        if active and (self._model is None or self._model.version != active.version):
            self._model = self._load(active)
        elif active is None:
            self._model = None
        n_done, model = _count_work(progress := self.store.progress()), self._model
        if model is None:
            entries = draw_sentences(self.store, self._random_share)
        else:
            entries = choose_sentences(
                self.store,
                model.tagger,
                model.version,
                strategy=self._strategy,
                random_share=self._random_share,
                watch=partial(self._watch, is_large=progress.sentences > HEAD_START),
            )
        self.store.replace_queue(entries)
        is_exhausted = len(entries) < QUEUE_SIZE
        self._filled_at = (model.version if model else None, n_done) if is_exhausted else None

    def _watch(self, sentences: Iterator[Sentence], *, is_large: bool) -> Iterator[Sentence]:
        """Yield sentences that the model ranks; people need not wait for the end of a large pool."""
        for number, sentence in enumerate(sentences):
            if self._is_closed:
                raise _ClosedError
            if is_large and not number % HEAD_START and count_waiting(self.store) < LEAST_WAITING:
                top_up(self.store, self._random_share)
            yield sentence


def _count_work(progress: Progress) -> int:
    return sum(share.accepted + share.skipped for share in progress.shares)


def _key(span: Span) -> tuple[int, int, str]:
    return span.start, span.end, span.label


def _invalid(problem: str) -> InputError:
    return InputError(f"{problem}. Send spans and tokens of this sentence.", code="argument.value")
