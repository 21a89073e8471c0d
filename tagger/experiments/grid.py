"""The grid of a comparison: its variants with their sizes, its runs, and the data that all runs share."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from tagger.config import Config, Direction, HeadKind, LookaheadTraining, Match, MergeMode, ModelConfig
from tagger.config_loading import reject_encoder
from tagger.errors import InputError
from tagger.features.vocab import Vocabulary
from tagger.runtime.weights import tensor_shapes
from tagger.training.checkpoint import data_digests, describe_options
from tagger.training.encoded_split import EncodedSplit
from tagger.training.preparation import Preparation, prepare, read_split
from tagger.training.progress import build_model

RUNS = "runs"  # subfolder of the output folder with one file per run
WHOLE = "full"  # name of the unbounded lookahead, the whole sentence


@dataclass(frozen=True, slots=True)
class Variant:
    """One kind of model in the grid; each of its seeds is a run.

    Attributes:
        direction: Direction of the encoder.
        merge_mode: How the encoder merges two directions; None for a single direction.
        head: Kind of the output head.
        lookahead: Lookahead in training: whole sentences, or a random lookahead for each batch.
    """

    direction: Direction
    merge_mode: MergeMode | None
    head: HeadKind
    lookahead: LookaheadTraining = "full"

    @property
    def name(self) -> str:
        """Name in file names: ``bidirectional-concat-crf``, ``forward-softmax``."""
        parts = [self.direction, self.merge_mode, self.head]
        return "-".join([part for part in parts if part] + ["lookahead"] * (self.lookahead == "random"))

    def run_name(self, seed: int) -> str:
        """Return the name of the run with this seed, for file names."""
        return f"{self.name}-{seed}"

    @property
    def title(self) -> str:
        """Name in reports: ``bidirectional (sum), softmax``."""
        merged = f" ({self.merge_mode})" if self.merge_mode not in (None, "concat") else ""
        trained = ", random lookahead" if self.lookahead == "random" else ""
        return f"{self.direction}{merged}, {'CRF' if self.head == 'crf' else self.head}{trained}"


def find_bidirectional(variants: Iterable[Variant], head: HeadKind) -> Variant | None:
    """Find the bidirectional variant to compare unidirectional ones with: concat, or else the first."""
    whole = [one for one in variants if one.merge_mode and (one.head, one.lookahead) == (head, "full")]
    return min(whole, key=lambda variant: variant.merge_mode != "concat", default=None)


def lookahead_name(words: int | None) -> str:
    """Return the name of a lookahead in keys and settings; None means the whole sentence."""
    return WHOLE if words is None else str(words)


def build_grid(
    directions: Sequence[Direction],
    merge_modes: Sequence[MergeMode],
    heads: Sequence[HeadKind],
    *,
    has_lookahead: bool = False,
) -> list[Variant]:
    """Build all variants: for each head every direction, for each bidirectional one every merge mode.

    Args:
        directions: Encoder directions.
        merge_modes: Merge modes of the bidirectional variants.
        heads: Output heads.
        has_lookahead: True to add, for the first merge mode, a bidirectional variant trained with a random
            lookahead.
    """
    variants = []
    for head in heads:
        for direction in directions:
            if direction != "bidirectional":
                variants.append(Variant(direction, None, head))
                continue
            variants += [Variant(direction, merge_mode, head) for merge_mode in merge_modes]
            if has_lookahead:
                variants.append(Variant(direction, merge_modes[0], head, "random"))
    return list(dict.fromkeys(variants))


def configure(variant: Variant, config: Config, *, hidden_size: int, seed: int) -> Config:
    """Return the options of one run: the common options, changed for the variant.

    A softmax head decodes without tag scheme constraints: constrained decoding would carry evidence from
    later words back to earlier ones, which a unidirectional model must not see.
    """
    model = {
        "direction": variant.direction,
        "merge_mode": variant.merge_mode or config.model.merge_mode,
        "head": variant.head,
        "constrain": config.model.constrain and variant.head == "crf",
        "hidden_size": hidden_size,
        "context": "sentence",  # document context would leak the right context: it includes later occurrences
        "linear": False,  # as does the linear part: it reads the next two words
    }
    train = {"seed": seed, "lookahead": variant.lookahead}
    return config.model_copy(
        update={
            "model": config.model.model_copy(update=model),
            "train": config.train.model_copy(update=train),
        }
    )


def count_parameters(model: ModelConfig, vocabulary: Vocabulary, word_size: int) -> dict[str, int]:
    """Count the trained parameters of the ``encoder``, the ``heads``, the ``words``, and ``all``.

    Args:
        model: Model options, which determine the shapes.
        vocabulary: Words, characters and tasks of the model.
        word_size: Width of the word vectors.
    """
    counts = dict.fromkeys(("encoder", "heads", "words"), 0)
    for name, shape in tensor_shapes(model, vocabulary, word_size).items():
        if name == "words.frozen":
            continue
        counts[name.partition(".")[0]] += math.prod(shape)
    return {**counts, "all": sum(counts.values())}


def match_hidden_sizes(
    variants: Sequence[Variant], config: Config, match: Match, vocabulary: Vocabulary, word_size: int
) -> dict[Variant, int]:
    """Choose the hidden size per direction of each variant, so that all match in one respect.

    The reference is the bidirectional encoder with ``model.hidden_size`` units per direction and merge mode
    concat. The other variants match its units per direction (``hidden``), its output width (``width``), or,
    as closely as possible, its number of trained parameters with the same head (``parameters``).

    Args:
        variants: The grid.
        config: Options of all runs.
        match: The matched quantity.
        vocabulary: Vocabulary of all runs.
        word_size: Width of the word vectors.
    """
    size = config.model.hidden_size

    def count(variant: Variant, hidden_size: int) -> int:
        model = configure(variant, config, hidden_size=hidden_size, seed=0).model
        return count_parameters(model, vocabulary, word_size)["all"]

    sizes = {}
    for variant in variants:
        reference = replace(variant, direction="bidirectional", merge_mode="concat")
        is_reference = variant.direction == "bidirectional" and variant.merge_mode == "concat"
        if match == "hidden" or is_reference:
            sizes[variant] = size
        elif match == "width":
            sizes[variant] = 2 * size
        else:
            sizes[variant] = _nearest(partial(count, variant), count(reference, size))
    return sizes


def _nearest(count: Callable[[int], int], target: int) -> int:
    """Find the size (from 1) at which an increasing function is closest to a target; the smaller in a tie."""
    sizes = range(1, target + 1)  # a layer with this many units has at least this many parameters
    index = bisect_left(sizes, target, key=count)
    return min(sizes[max(0, index - 1) : index + 1], key=lambda size: abs(count(size) - target))


def require_comparable(config: Config) -> None:
    """Check that all runs would share their schedule and their only task.

    Raises:
        InputError: Early stopping is on, or there is not exactly one task.
    """
    if config.train.patience:
        raise InputError(
            "train.patience must be 0, because all runs of a comparison share their schedule "
            f"(got {config.train.patience}). Leave it at 0.",
            code="option.value",
            option="train.patience",
        )
    if len(config.data.tasks) != 1:
        raise InputError(
            f"a comparison must have exactly one task (got {len(config.data.tasks)}: "
            f"{', '.join(config.data.tasks)}). Run one comparison per task, each with its own --output.",
            code="option.value",
            where="data.tasks",
            option="data.tasks",
        )


@dataclass(frozen=True, slots=True)
class Request:
    """The arguments of a comparison.

    Attributes:
        config: Options of all runs; ``model.hidden_size`` is the size of the bidirectional concat variant.
        train_files: Corpus files of the train split.
        dev_files: Corpus files of the dev split, scored after every epoch; no epoch is selected by them.
        test_files: Corpus files of the test split, scored after the last epoch; may be empty.
        vectors_file: Static word vectors, or None.
        variants: The grid.
        seeds: Number of runs per variant; seeds count up from ``train.seed``.
        match: The quantity that all variants share.
        lookaheads: Lookaheads (in words) to score bidirectional models with; None means whole sentences.
        output: Output folder of the comparison.
    """

    config: Config
    train_files: Sequence[Path]
    dev_files: Sequence[Path]
    test_files: Sequence[Path]
    vectors_file: Path | None
    variants: Sequence[Variant]
    seeds: int
    match: Match
    lookaheads: Sequence[int | None]
    output: Path


@dataclass(frozen=True, slots=True)
class Job:
    """A run to train.

    Attributes:
        variant: The kind of model.
        seed: Seed of weights, order and dropout.
        hidden_size: LSTM units per direction.
    """

    variant: Variant
    seed: int
    hidden_size: int

    @property
    def name(self) -> str:
        """Name of the run."""
        return self.variant.run_name(self.seed)


@dataclass(frozen=True, slots=True)
class ComparisonData:
    """The loaded data of a comparison.

    Attributes:
        request: Arguments of the comparison.
        preparation: Vocabulary, vectors, train and dev splits.
        test: Test split, or None.
        digests: Digests of the content of all splits and of the vectors.
    """

    request: Request
    preparation: Preparation
    test: EncodedSplit | None
    digests: Mapping[str, str]

    @property
    def folder(self) -> Path:
        """Folder of the run files."""
        return self.request.output / RUNS

    @property
    def scored_splits(self) -> dict[str, EncodedSplit]:
        """The scored splits, by name."""
        splits = {"dev": self.preparation.dev, "test": self.test}
        return {name: split for name, split in splits.items() if split}

    def jobs(self) -> list[Job]:
        """Return the runs of the grid, seed by seed."""
        request, vectors = self.request, self.preparation.vectors
        sizes = match_hidden_sizes(
            request.variants,
            request.config,
            request.match,
            self.preparation.vocabulary,
            vectors.size if vectors else request.config.model.word_size,
        )
        first = request.config.train.seed
        return [
            Job(variant, seed, sizes[variant])
            for seed in range(first, first + request.seeds)
            for variant in request.variants
        ]

    def configure(self, job: Job) -> Config:
        """Return the options of one run."""
        return configure(job.variant, self.request.config, hidden_size=job.hidden_size, seed=job.seed)

    def lookaheads(self, variant: Variant) -> Sequence[int | None]:
        """Return the lookaheads to score a variant with; empty unless it is bidirectional."""
        return self.request.lookaheads if variant.direction == "bidirectional" else ()

    def describe(self, job: Job) -> dict[str, str]:
        """Describe everything that determines the result of a run, under the names of user options."""
        names = ",".join(map(lookahead_name, self.lookaheads(job.variant)))
        return {
            **describe_options(self.configure(job)),
            **self.digests,
            "--lookahead": names or "none",
        }


def load_data(request: Request) -> ComparisonData:
    """Read all files.

    Raises:
        InputError: A file cannot be read, or lacks the requested data.
    """
    config = request.config
    reject_encoder(config.model, "a comparison needs models")
    preparation = prepare(config, request.train_files, request.dev_files, request.vectors_file)
    test = read_split(config, request.test_files, preparation) if request.test_files else None
    return ComparisonData(request, preparation, test, data_digests(preparation, test))


def require_local_features(data: ComparisonData) -> None:
    """Check that the features of a word do not depend on later words, which a forward model must not see.

    The check changes the last word of a sentence and compares the emissions of a forward network: those of
    all earlier words must stay the same.

    Raises:
        InputError: The emissions of earlier words change.
    """
    train, config = data.preparation.train, data.request.config
    forward = configure(Variant("forward", None, "softmax"), config, hidden_size=8, seed=0)
    model = build_model(data.preparation, forward).eval()
    words = max(train.rows, key=len)
    changed = words.copy()
    changed[-1] = words[0] if words[0] != words[-1] else len(train.table) - 1
    for emissions in model.emissions(train.table.batch([words, changed])).values():
        if not np.allclose(emissions[0, : len(words) - 1], emissions[1, : len(words) - 1], atol=1e-5):
            raise InputError(
                "The features of a word depend on later words, so a forward model would see the right "
                "context and the comparison would be invalid. Remove features that read the whole sentence.",
                code="option.conflict",
            )
