"""From corpus files to what the training loop needs: vocabulary, vectors, tokenizer, encoded sentences."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from tagger.config import Config
from tagger.corpus.loading import FileOptions, Split, load_split, untagged
from tagger.corpus.reading import Reading
from tagger.corpus.tags import count_unseen, parse_schemes, refuse_unseen, require_spans
from tagger.errors import InputError
from tagger.features.batching import Batch, Ints, WordTable
from tagger.features.mentions import MentionIndex, index_mentions
from tagger.features.vectors import Vectors, read_vectors
from tagger.features.vocab import Task, Vocabulary, build_vocabulary
from tagger.text.casing import RECASINGS, recase
from tagger.text.sentence import Sentence
from tagger.text.tokenizer import Tokenizer, learn_convention

FEWEST_FOUND = 0.01  # of train's distinct words; a vectors file with fewer can hardly be the right one


@dataclass(frozen=True)
class Part:
    """One part of the corpus, encoded.

    Attributes:
        sentences: The sentences as they were read.
        rows: For each sentence the rows of its tokens in ``table``.
        tags: For each task the tag ids of each sentence; empty for a part that is only scored.
        schemes: For each task the scheme of the file's own tags, None for tags that mark no spans.
        table: The distinct words.
        repairs: For each span task how many tags were illegal in the file's scheme (read as conlleval
            reads them).
        unseen_tags: For each task how many tags have a label (or are a tag) that train lacks; empty for
            the train part.
        mentions: Where the documents' words stand once more in them; None where sentences stand alone.
        recased: For each of ``RECASINGS`` the rows of each sentence's tokens in that casing;
            empty unless the part is learnt from with ``train.recased``.
        summary: As in ``Preparation``, of a part that ``read_part`` read.
        notes: The same.
    """

    sentences: Sequence[Sentence]
    rows: Sequence[Ints]
    tags: Mapping[str, Sequence[Ints]]
    schemes: Mapping[str, str | None]
    table: WordTable
    repairs: Mapping[str, int]
    unseen_tags: Mapping[str, int]
    mentions: MentionIndex | None = None
    recased: Sequence[Sequence[Ints]] = ()
    summary: Sequence[str] = ()
    notes: Sequence[str] = ()

    @property
    def lengths(self) -> list[int]:
        """Tokens of each sentence."""
        return [len(rows) for rows in self.rows]

    def batch(self, places: Sequence[int], casings: Sequence[int] | None = None) -> Batch:
        """The batch of the sentences at these places, with tags where the part has them.

        Args:
            places: Which sentences.
            casings: For each of them its place in ``RECASINGS``, or -1 for its own casing; that of all when
                not said.
        """
        tags = {task: [values[place] for place in places] for task, values in self.tags.items()}
        chosen = casings or [-1] * len(places)
        rows = [
            self.rows[place] if casing < 0 else self.recased[casing][place]
            for place, casing in zip(places, chosen, strict=True)
        ]
        batch = self.table.batch(rows, tags)
        if self.mentions is None:
            return batch
        # Behind the documents as they are stand those in other casings.
        shown = [place + (casing + 1) * len(self.rows) for place, casing in zip(places, chosen, strict=True)]
        return replace(batch, mentions=self.mentions.batch(shown))


@dataclass(frozen=True)
class Preparation:
    """All that comes before the first step.

    Attributes:
        vocabulary: Built from train only; holds the words of the vectors file, too.
        unvectored_singletons: Ids of words that occur once in train and have no vector.
        vectors: Static vectors, or None.
        tokenizer: The train part's convention.
        train: The part to learn from.
        dev: The part to choose by, or None.
        notes: What was changed or left out while reading, a line each (see ``corpus.reading.Reading.note``).
        summary: A line for each corpus file: its format, columns, schemes and labels.
    """

    vocabulary: Vocabulary
    unvectored_singletons: frozenset[int]
    vectors: Vectors | None
    tokenizer: Tokenizer
    train: Part
    dev: Part | None
    notes: Sequence[str] = ()
    summary: Sequence[str] = ()


def prepare(config: Config, train: Sequence[Path], dev: Sequence[Path], vectors: Path | None) -> Preparation:
    """Read the files and build everything from them.

    Args:
        config: All options.
        train: The corpus files to learn from.
        dev: The corpus files to choose by; none at all for no dev part.
        vectors: Static word vectors, or None.

    Raises:
        InputError: A file cannot be read or does not hold what the config asks for.
    """
    notes: list[str] = []
    reading = _make_reading(config, notes)
    split = _load(config, train, reading)
    sentences = split.sentences
    vocabulary, singletons = build_vocabulary(
        sentences,
        split.schemes,
        scheme=config.model.scheme,
        lowercase=config.model.lowercase,
        fold_digits=config.model.fold_digits,
    )
    tokenizer = _choose_tokenizer(config, sentences)
    # Before the vectors, whose reading takes a while.
    dev_split = _load(config, dev, reading, vocabulary.tasks) if dev else None
    found = None
    if vectors:
        words = vocabulary.word_ids
        found = read_vectors(vectors, words, limit=config.model.vectors_limit, normalise=vocabulary.normalise)
        if warning := warn_of_vectors(vectors, found, len(words)):
            notes.append(warning)
        vocabulary = vocabulary.with_fixed_words(found.fixed_words)
        singletons = frozenset(
            number for number in singletons if vocabulary.words[number] not in found.trained
        )
    table = WordTable(vocabulary)
    part = _encode(split, table, config, with_tags=True)
    dev_part = _encode_scored(config, dev_split, table) if dev_split else None
    return Preparation(
        vocabulary=vocabulary,
        unvectored_singletons=singletons,
        vectors=found,
        tokenizer=tokenizer,
        train=_with_recased(part) if config.train.recased else part,
        dev=dev_part,
        notes=notes,
        summary=(*split.summary, *(dev_split.summary if dev_split else ())),
    )


def warn_of_vectors(path: Path, vectors: Vectors, words: int) -> str | None:
    """Return a warning if a vectors file has next to none of train's distinct words.

    Args:
        path: The vectors file.
        vectors: What was read of it.
        words: Distinct words of train.
    """
    found = len(vectors.trained)
    if found and found >= FEWEST_FOUND * words:
        return None
    return (
        f"{path}: WARNING: only {found:,} of train's {words:,} distinct words have a vector (got "
        f"{found / max(1, words):.1%}). Check the file's language, casing and format, or leave --vectors out."
    )


def read_part(config: Config, paths: Sequence[Path], preparation: Preparation) -> Part:
    """Read one more part that is only scored, as dev is.

    Args:
        config: What the preparation was made with.
        paths: The corpus files.
        preparation: Knows the words and the tags of train; the words of the part are added to its table.

    Raises:
        InputError: The file cannot be read or does not hold what the config asks for.
    """
    notes: list[str] = []
    split = _load(config, paths, _make_reading(config, notes), preparation.vocabulary.tasks)
    part = _encode_scored(config, split, preparation.train.table)
    return replace(part, summary=split.summary, notes=notes)


def _make_reading(config: Config, notes: list[str]) -> Reading:
    """How the files are read; running text is cut by the tokenizer's defaults and the config's wishes."""
    known = Tokenizer().settings()
    wished = config.data.tokenizer
    for name, value in wished.items():
        if name not in known or type(value) is not type(known[name]):
            options = ", ".join(f"{key} = {json.dumps(setting)}" for key, setting in known.items())
            raise InputError(
                f"data.tokenizer: {name} = {value!r} is none of its options; they are {options}."
            )
    return Reading(
        tokenize=Tokenizer(**wished).tokenize,  # type: ignore[arg-type]
        on_misaligned=config.data.on_misaligned,
        offsets=config.data.offsets,
        label_names=config.data.label_names,
        note=notes.append,
    )


def _choose_tokenizer(config: Config, sentences: Sequence[Sentence]) -> Tokenizer:
    settings = {**learn_convention(sentences).settings(), **config.data.tokenizer}
    return Tokenizer(**settings)  # type: ignore[arg-type]


def _encode_scored(config: Config, split: Split, table: WordTable) -> Part:
    unseen_tags = _check_unseen(config, split.sentences, table.vocabulary.tasks)
    return replace(_encode(split, table, config, with_tags=False), unseen_tags=unseen_tags)


def _load(config: Config, paths: Sequence[Path], reading: Reading, tasks: Sequence[Task] = ()) -> Split:
    """Load a split; spans, or tags, have to be there. Tasks are those of train once they are known."""
    data = config.data
    split = load_split(
        paths,
        data.tasks,
        options=FileOptions(
            columns=data.columns,
            format=data.format,
            schemes=parse_schemes(data.scheme),
            broken_tags=data.broken_tags,
        ),
        reading=reading,
        has_spans={task.name: task.scheme is not None for task in tasks},
    )
    for problem in untagged(split).values():
        raise InputError(problem)
    for task, scheme in split.schemes.items():
        if scheme:
            require_spans(split.sentences, task)
    return split


def _check_unseen(config: Config, sentences: Sequence[Sentence], tasks: Sequence[Task]) -> dict[str, int]:
    """Count dev's tags that train lacks, or refuse them."""
    counts = {}
    for task in tasks:
        has_spans = task.scheme is not None
        unseen = count_unseen(sentences, task.name, task.tags, has_spans=has_spans)
        if config.data.unseen_tags == "error":
            refuse_unseen(sentences, task.name, unseen, has_spans=has_spans)
        counts[task.name] = sum(unseen.values())
    return counts


def _encode(split: Split, table: WordTable, config: Config, *, with_tags: bool) -> Part:
    sentences, schemes = split.sentences, split.schemes
    tags: dict[str, list[Ints]] = {}
    if with_tags:
        for task in table.vocabulary.tasks:
            source = schemes[task.name]
            tags[task.name] = [
                np.array(task.encode(sentence.tags[task.name], source)) for sentence in sentences
            ]
    rows = [table.rows(sentence.tokens) for sentence in sentences]
    mentions = None
    if config.model.has_mentions:
        recasings = RECASINGS if with_tags and config.train.recased else ()
        mentions = index_mentions(sentences, table.vocabulary, recasings)
    return Part(sentences, rows, tags, schemes, table, split.repairs, {}, mentions)


def _with_recased(part: Part) -> Part:
    """A part whose sentences can also be shown in another casing."""
    recased = [[part.table.rows(recase(one, casing)) for one in part.sentences] for casing in RECASINGS]
    return replace(part, recased=recased)
